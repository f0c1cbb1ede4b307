use std::fmt::Write as _;

use adaplace_backbone::{BackboneDescription, InputDescription, Pooling};
use adaplace_search_space::{AdapterSpec, Connection, ConnectionKind};
use adaplace_study::load_backbone;
use anyhow::Result;
use serde::Serialize;

use super::{print, print_json};
use crate::Ending;
use crate::arguments::Inspect;
use crate::backbone;
use crate::table::grouped;

/// Tokens of a text where no other number is asked for.
const TEXT_TOKENS: usize = 32;

/// The rank that an adapter's cost is shown for.
const SHOWN_RANK: u16 = 8;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(rename = "backbone")]
    description: &'a BackboneDescription,
    tokens: usize,
    sublayer_flops: Vec<u64>,
    connections: Vec<KindCount>,
    adapter: AdapterCost,
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
    let folder = backbone::folder(&arguments.backbone)?;
    let backbone = load_backbone(&folder, arguments.pooling.map(Pooling::from))?;
    let description = backbone.description();
    let tokens = description.input.fixed_tokens().unwrap_or_else(|| {
        arguments
            .tokens
            .map_or(TEXT_TOKENS, |tokens| tokens as usize)
    });
    let adapter = AdapterSpec::new(SHOWN_RANK, 1.0)?;
    let report = Report {
        description,
        tokens,
        sublayer_flops: backbone.sublayer_flops(tokens),
        connections: count_kinds(description.hidden_states),
        adapter: AdapterCost {
            rank: SHOWN_RANK,
            parameters: adapter.parameters(description.width as u32),
            flops: adapter.flops(description.width as u32, tokens as u32),
        },
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&summary(&report)?)?;
    }
    Ok(Ending::Finished)
}

fn count_kinds(hidden_states: usize) -> Vec<KindCount> {
    let states = hidden_states as u16;
    let all: Vec<ConnectionKind> = (0..states)
        .flat_map(|source| (0..states).map(move |target| Connection { source, target }.kind()))
        .collect();
    ConnectionKind::ALL
        .into_iter()
        .map(|kind| KindCount {
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
    Ok(text)
}
