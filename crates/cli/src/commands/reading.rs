//! The description of backbone and task that is printed before a study starts.

use adaplace_backbone::InputDescription;
use adaplace_search_space::SearchSpace;
use adaplace_study::Problem;
use adaplace_task::{Part, PartSummary, ProblemKind, Shared, Task};

use crate::table::{grouped, significant};
use crate::terminal::say;

/// Prints three lines about the backbone, the task and the space, then a warning for each leak.
pub(super) fn announce(problem: &Problem, space: &SearchSpace) {
    let description = problem.backbone.description();
    let reads = match description.input {
        InputDescription::Text { .. } => "tokens",
        InputDescription::Image { .. } => "pixels",
    };
    say!(
        "backbone  {}, {} blocks, width {}, pooling {}; {reads} by {}",
        description.model_type,
        description.blocks,
        description.width,
        description.pooling,
        problem.encoded_by.join(", ")
    );
    let summary = problem.task.summary();
    let parts: Vec<String> = summary
        .parts
        .iter()
        .map(|part| format!("{} {}", grouped(part.examples as u64), part.part))
        .collect();
    let cut: usize = summary.parts.iter().map(|part| part.cut).sum();
    let cut = match problem.max_length {
        Some(length) if cut > 0 => format!("; {} cut at {length} tokens", grouped(cut as u64)),
        Some(length) => format!("; none is longer than {length} tokens"),
        None => String::new(),
    };
    say!(
        "task      {}, {}, {} examples{cut}",
        problem.task.name,
        kind(&problem.task),
        parts.join(" and ")
    );
    let placements = match space.count() {
        Some(count) => u64::try_from(count).map_or_else(|_| format!("{count:.1e}"), grouped),
        None => format!("{:.1e}", space.approximate_count()),
    };
    say!(
        "space     {} connections, up to {} adapters, {placements} placements",
        space.connections().len(),
        space.largest_size()
    );
    for shared in &summary.shared {
        tracing::warn!("{}", leak(shared, &summary.parts));
    }
}

/// What the task asks for.
pub(super) fn kind(task: &Task) -> String {
    let classes = task.classes.len();
    match (task.problem(), task.scale()) {
        (ProblemKind::MultiLabel, _) => format!("any of {classes} classes for each example"),
        (ProblemKind::TokenClassification, _) => format!("{classes} tags of words"),
        (ProblemKind::LanguageModelling, _) => "completions of prompts".to_owned(),
        (_, None) => format!("{classes} classes"),
        (_, Some(scale)) => format!(
            "numbers, {} ± {} in training",
            significant(scale.mean),
            significant(scale.deviation)
        ),
    }
}

/// The consequence of a leak for the results.
pub(super) fn leak(shared: &Shared, parts: &[PartSummary]) -> String {
    let [first, second] = shared.parts;
    let of_second = parts.iter().find(|one| one.part == second);
    let all = of_second.map_or(0, |part| part.examples);
    let consequence = match second {
        Part::Test => "the test results are too optimistic",
        _ => "the validation results are too optimistic",
    };
    format!(
        "{} of {} {second} examples are also {first} examples, so {consequence}",
        grouped(shared.examples as u64),
        grouped(all as u64)
    )
}
