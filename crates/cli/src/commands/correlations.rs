//! How the tables of audits show rank correlations.

use adaplace_experiments::RankCorrelation;

use crate::table;

/// Spearman's rho with its interval.
pub(super) fn rho(agreement: &RankCorrelation) -> String {
    let rho = agreement.spearman;
    rho.map_or_else(unknown, |rho| table::measured(rho, table::signed))
}

/// Kendall's tau.
pub(super) fn tau(agreement: &RankCorrelation) -> String {
    let tau = agreement.kendall;
    tau.map_or_else(unknown, |tau| table::signed(tau.value))
}

/// The recall of the best tenth.
pub(super) fn top(agreement: &RankCorrelation) -> String {
    let recall = agreement.top_recall;
    recall.map_or_else(unknown, |recall| table::percent(recall.value))
}

/// The sort key of a predictor, larger first.
pub(super) fn order(agreement: &RankCorrelation) -> f64 {
    agreement
        .spearman
        .map_or(f64::NEG_INFINITY, |rho| rho.value)
}

/// Rows of cells, sorted by their keys, the largest first.
pub(super) fn best_first(mut rows: Vec<(f64, Vec<String>)>) -> Vec<Vec<String>> {
    rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    rows.into_iter().map(|(_, cells)| cells).collect()
}

pub(super) fn unknown() -> String {
    "-".to_owned()
}
