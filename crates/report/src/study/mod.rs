//! The report of a study.

mod audit;
mod cost;
mod maps;
mod overview;
mod placements;
mod progress;
mod proxy;
mod trials;

use std::path::Path;

use adaplace_experiments::Audit;
use adaplace_study::{StoredStudy, StudyError};
use overview::Overview;

use crate::configuration;
use crate::document::Document;

/// The report of the study in `folder`, finished or not, as the text of an HTML file.
///
/// The report of an unfinished study shows the content of its journal, which another process may be writing.
///
/// # Errors
/// If there is no study, or if one of its files is damaged; the message names it.
pub fn study_report(folder: &Path) -> Result<String, StudyError> {
    let study = StoredStudy::read(folder)?;
    let audit = Audit::read_in(folder)?;
    let overview = Overview::new(&study);
    let sections = [
        placements::section(&overview),
        progress::section(&overview),
        Some(maps::section(&overview)),
        proxy::section(&overview),
        cost::section(&overview),
        audit.as_ref().map(audit::section),
        trials::section(&overview),
        Some(configuration::section(&study.configuration)),
    ];
    let document = Document {
        command: "search",
        title: &study.name,
        lead: overview.lead(),
        facts: overview.facts(),
        sections: sections.into_iter().flatten().collect(),
    };
    Ok(document.html())
}
