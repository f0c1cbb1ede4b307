use std::path::{Path, PathBuf};

use adaplace_report::{comparison_report, study_report};
use adaplace_search_space::write_atomically;
use adaplace_study::{StoredComparison, StudyFolder};
use anyhow::{Context, Result};

use super::print;
use crate::Ending;
use crate::arguments::Report;

pub(crate) fn run(arguments: &Report) -> Result<Ending> {
    let path = write(&arguments.study, arguments.out.as_deref())?;
    print(&format!("report  {}\n", path.display()))?;
    Ok(Ending::Finished)
}

/// Writes the report of the study or comparison in `folder` to `out`, or into the folder itself.
pub(crate) fn write(folder: &Path, out: Option<&Path>) -> Result<PathBuf> {
    let page = match StoredComparison::is_in(folder) {
        true => comparison_report(folder)?,
        false => study_report(folder)?,
    };
    let path = out.map_or_else(|| StudyFolder::report(folder), Path::to_owned);
    write_atomically(&path, page.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
