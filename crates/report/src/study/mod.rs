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
use adaplace_study::StoredStudy;

use crate::configuration;
use crate::document::Document;
use crate::error::ReportError;
use overview::Overview;

/// The report of the study in `folder`, finished or not, as the text of an HTML file.
///
/// Of an unfinished study it shows what its journal holds, which another process may be writing.
///
/// # Errors
/// If there is no study, or one of its files is damaged; the message names it.
pub fn study_report(folder: &Path) -> Result<String, ReportError> {
    let study = StoredStudy::read(folder)?;
    let audit = Audit::read_in(folder)?;
    let overview = Overview::new(&study);
    let mut document = Document::new(&study.name, &overview.lead(), "search");
    document.facts(&overview.facts());
    let sections = [
        placements::section(&overview),
        progress::section(&overview)?,
        Some(maps::section(&overview)),
        proxy::section(&overview)?,
        cost::section(&overview)?,
        audit.as_ref().map(audit::section),
        trials::section(&overview),
        Some(configuration::section(&study.configuration)),
    ];
    for section in sections.into_iter().flatten() {
        document.section(section);
    }
    Ok(document.finish())
}
