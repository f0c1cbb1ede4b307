//! The audit: how well each predictor predicted the results.

use adaplace_experiments::{Audit, RankCorrelation};

use crate::document::Section;
use crate::numbers::{measured, percent, signed};
use crate::table::{Cell, Table};

pub(super) fn section(audit: &Audit) -> Section {
    let caption = format!(
        "{} of {} single connections, {} steps each. Spearman's rho with each result, signed so that higher is better, with \
         its 95 % bootstrap interval. Tau-b and top 10 % refer to accuracy; top 10 % is the share of the best tenth that is \
         in the predictor's best tenth.",
        audit.connections, audit.of_connections, audit.steps
    );
    let columns = [
        "ordered by",
        "accuracy",
        "loss",
        "training loss",
        "tau-b",
        "top 10 %",
    ];
    let mut table = Table::new(caption, &columns);
    let order = |agreement: &RankCorrelation| {
        agreement
            .spearman
            .map_or(f64::NEG_INFINITY, |rho| rho.value)
    };
    let mut predictors: Vec<_> = audit.predictors.iter().collect();
    predictors
        .sort_by(|a, b| order(&b.validation_headline).total_cmp(&order(&a.validation_headline)));
    for audited in predictors {
        let headline = &audited.validation_headline;
        let recall = headline.top_recall.map(|recall| percent(recall.value));
        table.row(vec![
            Cell::Text(audited.predictor.to_string()),
            Cell::Number(rho(headline)),
            Cell::Number(rho(&audited.validation_loss)),
            Cell::Number(rho(&audited.train_loss)),
            Cell::Number(
                headline
                    .kendall
                    .map_or_else(unknown, |tau| signed(tau.value)),
            ),
            Cell::Number(recall.unwrap_or_else(unknown)),
        ]);
    }
    Section::new("Which statistic to trust", &table)
}

fn rho(agreement: &RankCorrelation) -> String {
    let rho = agreement.spearman;
    rho.map_or_else(unknown, |rho| measured(rho, signed))
}

fn unknown() -> String {
    "-".to_owned()
}
