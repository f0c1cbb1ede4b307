//! The TOML form of a search space.

use std::fs;
use std::path::Path;

use adaplace_files::toml_problem;
use serde::{Deserialize, Serialize};

use crate::{Connection, ConnectionKind, SpaceError, decimal};

/// A search space as a user writes it, independent of any backbone.
///
/// ```
/// let text = r#"
///     [connections]
///     kinds = ["sequential", "recurrent"]
///     max_span = 4
///     [adapter]
///     ranks = [8, 16]
///     [budget]
///     adapters = 3
///     extra_flops = 0.5
/// "#;
/// let description = adaplace_search_space::SpaceDescription::from_toml(text)?;
/// assert_eq!(description.budget.adapters, 3);
/// # Ok::<(), adaplace_search_space::SpaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceDescription {
    /// The rules for the connections that may carry an adapter.
    pub connections: ConnectionRules,
    /// The adapters that a connection may carry.
    pub adapter: AdapterRules,
    /// The limits on the cost of a placement.
    pub budget: BudgetRules,
}

/// The rules that a connection must meet to carry an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRules {
    /// The allowed kinds, each listed once.
    pub kinds: Vec<ConnectionKind>,
    /// The smallest allowed span `|target - source|`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_span: Option<u16>,
    /// The largest allowed span `|target - source|`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_span: Option<u16>,
    /// The first and last hidden state that a connection may read, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<[u16; 2]>,
    /// The first and last hidden state that a connection may add to, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<[u16; 2]>,
}

/// The adapters that a connection may carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterRules {
    /// The ranks to choose from, each listed once.
    pub ranks: Vec<u16>,
    /// The scale of every adapter, 1 by default.
    #[serde(default = "default_scale", with = "decimal")]
    pub scale: f32,
}

/// The limits on the cost of a placement, as in [`crate::Budget`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetRules {
    /// The largest number of adapters, `k`.
    pub adapters: u16,
    /// The smallest number of adapters. By default a placement has exactly `k`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_adapters: Option<u16>,
    /// The largest number of trainable parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// The largest number of extra floating-point operations, as a share of the frozen forward pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_flops: Option<f64>,
}

fn default_scale() -> f32 {
    1.0
}

impl ConnectionRules {
    /// Whether the rules allow `connection`.
    pub fn allow(&self, connection: Connection) -> bool {
        let within = |range: Option<[u16; 2]>, state: u16| {
            range.is_none_or(|[from, to]| from <= state && state <= to)
        };
        self.kinds.contains(&connection.kind())
            && self.min_span.is_none_or(|least| connection.span() >= least)
            && self
                .max_span
                .is_none_or(|greatest| connection.span() <= greatest)
            && within(self.sources, connection.source)
            && within(self.targets, connection.target)
    }
}

impl SpaceDescription {
    /// Reads and checks the description in the file at `path`.
    ///
    /// # Errors
    /// [`SpaceError::Read`], or [`SpaceError::InFile`] with an error of [`SpaceDescription::from_toml`].
    pub fn read(path: &Path) -> Result<Self, SpaceError> {
        let text = fs::read_to_string(path).map_err(|error| SpaceError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::from_toml(&text).map_err(|problem| problem.in_file(path))
    }

    /// Reads and checks the description in `text`.
    ///
    /// # Errors
    /// [`SpaceError::Content`], or an error of [`SpaceDescription::check`].
    pub fn from_toml(text: &str) -> Result<Self, SpaceError> {
        let description: Self = toml::from_str(text).map_err(|error| toml_problem(&error, text))?;
        description.check()?;
        Ok(description)
    }

    /// The TOML form, which reads back equal.
    ///
    /// # Errors
    /// [`SpaceError::NotWritableAsToml`] for a number beyond TOML's integers.
    pub fn to_toml(&self) -> Result<String, SpaceError> {
        toml::to_string(self).map_err(SpaceError::NotWritableAsToml)
    }

    /// Checks everything that does not depend on a backbone.
    ///
    /// # Errors
    /// [`SpaceError::Empty`], [`SpaceError::Repeated`], [`SpaceError::Reversed`], [`SpaceError::Zero`],
    /// [`SpaceError::UnusableScale`] or [`SpaceError::NotAShare`].
    pub fn check(&self) -> Result<(), SpaceError> {
        let ConnectionRules {
            kinds,
            min_span,
            max_span,
            sources,
            targets,
        } = &self.connections;
        distinct("connections.kinds", kinds)?;
        ordered(
            "min_span` to `max_span",
            min_span.unwrap_or(0),
            max_span.unwrap_or(u16::MAX),
        )?;
        for (field, range) in [("sources", sources), ("targets", targets)] {
            if let Some([from, to]) = range {
                ordered(field, *from, *to)?;
            }
        }
        distinct("adapter.ranks", &self.adapter.ranks)?;
        if self.adapter.ranks.contains(&0) {
            return Err(SpaceError::ZeroRank);
        }
        if !self.adapter.scale.is_finite() || self.adapter.scale == 0.0 {
            return Err(SpaceError::UnusableScale {
                scale: self.adapter.scale,
            });
        }
        let BudgetRules {
            adapters,
            min_adapters,
            parameters,
            extra_flops,
        } = self.budget;
        for (field, value) in [
            ("adapters", Some(u64::from(adapters))),
            ("min_adapters", min_adapters.map(u64::from)),
            ("parameters", parameters),
        ] {
            if value == Some(0) {
                return Err(SpaceError::Zero { field });
            }
        }
        ordered(
            "min_adapters` to `adapters",
            min_adapters.unwrap_or(adapters),
            adapters,
        )?;
        match extra_flops {
            Some(share) if !(share.is_finite() && share > 0.0) => {
                Err(SpaceError::NotAShare { share })
            }
            _ => Ok(()),
        }
    }
}

fn ordered(field: &'static str, from: u16, to: u16) -> Result<(), SpaceError> {
    if from > to {
        Err(SpaceError::Reversed { field, from, to })
    } else {
        Ok(())
    }
}

fn distinct<T: Ord + Copy + ToString>(field: &'static str, values: &[T]) -> Result<(), SpaceError> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    if sorted.is_empty() {
        return Err(SpaceError::Empty { field });
    }
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(SpaceError::Repeated {
            field,
            value: pair[0].to_string(),
        }),
        None => Ok(()),
    }
}
