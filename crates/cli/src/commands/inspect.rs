use std::fmt::Write as _;

use adaplace_backbone::{BackboneDescription, Device, DeviceKind, InputDescription, NoDevice};
use adaplace_search_space::{AdapterSpec, Connection, ConnectionKind, Count};
use adaplace_study::{Problem, load_backbone};
use adaplace_task::{Part, PartSummary, ProblemKind, Shared, TaskOptions, TaskSummary};
use anyhow::Result;
use serde::Serialize;

use super::reading::{kind, leak};
use super::{print, print_json};
use crate::Ending;
use crate::arguments::Inspect;
use crate::hub;
use crate::table::{self, grouped, significant};

/// Default number of tokens of a text.
const TEXT_TOKENS: usize = 32;

/// The largest number of classes whose counts are shown individually.
const SHOWN_CLASSES: usize = 12;

/// The rank that an adapter's cost is shown for.
const SHOWN_RANK: u16 = 8;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskReport>,
    #[serde(rename = "backbone")]
    description: &'a BackboneDescription,
    tokens: usize,
    sublayer_flops: Vec<u64>,
    connections: Vec<KindCount>,
    adapter: AdapterCost,
    devices: Vec<DeviceReport>,
}

/// A device of this machine, or a kind of which there is none.
#[derive(Serialize)]
struct DeviceReport {
    device: String,
    /// Whether this program was built for it.
    built: bool,
    usable: bool,
    /// Why it is not usable.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The properties of the task.
#[derive(Serialize)]
struct TaskReport {
    name: String,
    problem: ProblemKind,
    /// What the task asks for, in words.
    #[serde(skip)]
    kind: String,
    classes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    encoded_by: Vec<String>,
    parts: Vec<PartSummary>,
    shared: Vec<Shared>,
}

#[derive(Serialize)]
struct KindCount {
    kind: ConnectionKind,
    count: usize,
}

#[derive(Serialize)]
struct AdapterCost {
    rank: u16,
    parameters: u64,
    flops: u64,
}

pub(crate) fn run(arguments: &Inspect) -> Result<Ending> {
    let folder = hub::backbone(&arguments.backbone)?;
    let pooling = arguments.pooling;
    let (backbone, task) = match &arguments.task {
        None => (load_backbone(&folder, pooling)?, None),
        Some(task) => {
            let reading = arguments.reading.reading();
            let options = TaskOptions {
                parts: Part::ALL,
                reading: Some(&reading),
                ..TaskOptions::default()
            };
            let problem = Problem::load(
                (&folder, pooling),
                &hub::task(task)?,
                arguments.max_length.map(Count::get),
                &options,
            )?;
            let TaskSummary { parts, shared } = problem.task.summary();
            let task = TaskReport {
                problem: problem.task.problem(),
                kind: kind(&problem.task),
                parts,
                shared,
                name: problem.task.name,
                classes: problem.task.classes,
                max_length: problem.max_length,
                encoded_by: problem.encoded_by,
            };
            (problem.backbone, Some(task))
        }
    };
    let description = backbone.description();
    let tokens = description.input.fixed_tokens().unwrap_or_else(|| {
        arguments
            .tokens
            .map_or(TEXT_TOKENS, |tokens| tokens as usize)
    });
    let adapter = AdapterSpec::new(SHOWN_RANK, 1.0)?;
    let report = Report {
        task,
        description,
        tokens,
        sublayer_flops: backbone.sublayer_flops(tokens),
        connections: count_kinds(description.hidden_states),
        adapter: AdapterCost {
            rank: SHOWN_RANK,
            parameters: adapter.parameters(description.width as u32),
            flops: adapter.flops(description.width as u32, tokens as u32),
        },
        devices: devices(),
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&summary(&report)?)?;
    }
    Ok(Ending::Finished)
}

/// The processor, all usable cards, and one entry for each kind of which there is none.
fn devices() -> Vec<DeviceReport> {
    let usable = |device: Device| DeviceReport {
        device: device.to_string(),
        built: true,
        usable: true,
        reason: None,
    };
    let mut found = vec![usable(Device::CPU)];
    for kind in [DeviceKind::Cuda, DeviceKind::Metal] {
        let cards = (0..).map(|index| Device { kind, index });
        let cards: Vec<_> = cards
            .map_while(|card| card.check().ok().map(|()| card))
            .collect();
        match Device::first(kind).check() {
            Ok(()) => found.extend(cards.into_iter().map(usable)),
            Err(error) => found.push(DeviceReport {
                device: kind.to_string(),
                built: !matches!(error, NoDevice::NotBuilt { .. }),
                usable: false,
                reason: Some(error.to_string()),
            }),
        }
    }
    found
}

fn count_kinds(hidden_states: usize) -> Vec<KindCount> {
    let states = hidden_states as u16;
    let all: Vec<ConnectionKind> = (0..states)
        .flat_map(|source| (0..states).map(move |target| Connection { source, target }.kind()))
        .collect();
    ConnectionKind::ALL
        .iter()
        .map(|&kind| KindCount {
            kind,
            count: all.iter().filter(|&&found| found == kind).count(),
        })
        .collect()
}

fn summary(report: &Report<'_>) -> Result<String> {
    let mut text = String::new();
    let BackboneDescription {
        model_type,
        blocks,
        hidden_states,
        width,
        heads,
        intermediate,
        pooling,
        parameters,
        weights_sha256,
        input,
    } = report.description;
    let frozen: u64 = report.sublayer_flops.iter().sum();
    let reads = match input {
        InputDescription::Text {
            vocabulary,
            positions,
        } => format!(
            "text, a vocabulary of {}, up to {positions} tokens",
            grouped(*vocabulary as u64)
        ),
        InputDescription::Image {
            image_size,
            patch_size,
            channels,
            ..
        } => format!(
            "images of {image_size} x {image_size} pixels, {channels} channels, in patches of {patch_size}"
        ),
    };
    let kinds: Vec<String> = report
        .connections
        .iter()
        .map(|KindCount { kind, count }| format!("{count} {kind}"))
        .collect();
    let total: usize = report.connections.iter().map(|kind| kind.count).sum();
    writeln!(
        text,
        "{model_type}: {blocks} blocks, width {width}, {heads} heads, MLP width {intermediate}"
    )?;
    writeln!(text, "  reads          {reads}")?;
    writeln!(text, "  pooling        {pooling}")?;
    writeln!(text, "  weights        {}", grouped(*parameters as u64))?;
    writeln!(text, "  weights sha256 {weights_sha256}")?;
    writeln!(
        text,
        "  hidden states  {hidden_states}, h_0 (embedding) to h_{}",
        hidden_states - 1
    )?;
    writeln!(text, "  connections    {total}: {}", kinds.join(", "))?;
    writeln!(
        text,
        "  frozen forward {} FLOPs for {} tokens",
        grouped(frozen),
        report.tokens
    )?;
    writeln!(
        text,
        "  an adapter     of rank {} has {} parameters and adds {:.2} % FLOPs",
        report.adapter.rank,
        grouped(report.adapter.parameters),
        100.0 * report.adapter.flops as f64 / frozen as f64
    )?;
    write!(text, "{}", device_lines(&report.devices))?;
    if let Some(task) = &report.task {
        write!(text, "\n{}", task_summary(task))?;
    }
    Ok(text)
}

/// The usable devices, those for which the program was not built, and why any other cannot be used.
fn device_lines(devices: &[DeviceReport]) -> String {
    let names = |which: &dyn Fn(&DeviceReport) -> bool| {
        let chosen = devices.iter().filter(|one| which(one));
        let names: Vec<&str> = chosen.map(|one| one.device.as_str()).collect();
        names.join(", ")
    };
    let mut text = format!("  devices        {}", names(&|one| one.usable));
    let not_built = names(&|one| !one.built);
    if !not_built.is_empty() {
        text.push_str(&format!(" (built without {not_built})"));
    }
    text.push('\n');
    let failed = devices.iter().filter(|one| one.built && !one.usable);
    for reason in failed.filter_map(|one| one.reason.as_ref()) {
        text.push_str(&format!("                 {reason}\n"));
    }
    text
}

fn task_summary(task: &TaskReport) -> String {
    let TaskReport {
        name,
        kind,
        classes,
        max_length,
        encoded_by,
        parts,
        shared,
        ..
    } = task;
    let mut text = format!("{name}: {kind}\n");
    let encoded = match max_length {
        Some(length) => format!("to at most {length} tokens by {}", encoded_by.join(", ")),
        None => format!("to pixels by {}", encoded_by.join(", ")),
    };
    text.push_str(&format!("  encoded        {encoded}\n"));
    let count = |count: usize| grouped(count as u64);
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|part| {
            let mut row = vec![part.part.to_string(), count(part.examples)];
            row.extend(part.predictions.map(count));
            row.extend([part.cut, part.repeated, part.contradicting].map(count));
            if let Some(of) = part.numbers {
                let numbers = [of.least, of.mean, of.deviation, of.greatest];
                row.extend(numbers.map(significant));
            } else if classes.len() <= SHOWN_CLASSES {
                row.extend(part.classes.iter().map(|&of_class| count(of_class)));
            } else {
                let fewest = part.classes.iter().min().copied().unwrap_or(0);
                let most = part.classes.iter().max().copied().unwrap_or(0);
                row.push(format!("{} to {}", count(fewest), count(most)));
            }
            row
        })
        .collect();
    let mut titles = vec!["", "examples"];
    if parts.iter().any(|part| part.predictions.is_some()) {
        titles.push("labelled tokens");
    }
    titles.extend(["cut", "repeated", "with another label"]);
    if parts.iter().any(|part| part.numbers.is_some()) {
        titles.extend(["least", "mean", "deviation", "greatest"]);
    } else if classes.len() <= SHOWN_CLASSES {
        titles.extend(classes.iter().map(String::as_str));
    } else {
        titles.push("of a class");
    }
    let right: Vec<bool> = (0..titles.len()).map(|column| column > 0).collect();
    text.push('\n');
    text.push_str(&table::aligned(&titles, &rows, &right));
    for shared in shared {
        text.push_str(&format!("\n{}\n", leak(shared, parts)));
    }
    text
}
