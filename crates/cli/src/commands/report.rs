use std::path::{Path, PathBuf};

use adaplace_experiments::StoredComparison;
use adaplace_files::write_atomically;
use adaplace_report::{comparison_report, study_report};
use adaplace_study::StudyFolder;
use anyhow::{Context, Result};

use super::print;
use crate::Ending;
use crate::arguments::Report;
use crate::terminal::say;

pub(crate) fn run(arguments: &Report) -> Result<Ending> {
    let path = write(&arguments.study, arguments.out.as_deref())?;
    print(&format!("report  {}\n", path.display()))?;
    Ok(Ending::Finished)
}

/// Writes the report of the study or comparison in `folder` to `out`, or into the folder itself.
fn write(folder: &Path, out: Option<&Path>) -> Result<PathBuf> {
    let page = match StoredComparison::is_in(folder) {
        true => comparison_report(folder)?,
        false => study_report(folder)?,
    };
    let path = out.map_or_else(|| StudyFolder::report(folder), Path::to_owned);
    write_atomically(&path, page.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// Writes the report at the end of a study, or at its interruption. The results are already in other files, so a report
/// that cannot be written is not an error.
pub(crate) fn at_the_end(folder: &Path, finished: bool) -> Option<PathBuf> {
    match write(folder, None) {
        Ok(path) => {
            if !finished {
                say!("the report so far is `{}`", path.display());
            }
            Some(path)
        }
        Err(error) => {
            say!(
                "warning: no report was written: {}; `adaplace report {}` writes it again",
                crate::one_line(&error),
                folder.display()
            );
            None
        }
    }
}
