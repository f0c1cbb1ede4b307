//! The search space by a name or a file, with changes from the command line.

use std::path::{Path, PathBuf};

use adaplace_search_space::{SpaceDescription, SpaceError};
use clap::Args;

use super::values::from;

/// The space to search, as stored in `study.toml`.
#[derive(Debug, Args)]
pub(crate) struct SpaceOptions {
    /// Search space: extended, parallel, sequential, long-range, recurrent or single, or a file like those in
    /// search-spaces/ [default: extended]
    #[arg(long, value_name = "SPACE")]
    space: Option<PathBuf>,
    /// Number of adapters of a placement [default: that of the space, mostly 3]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    adapters: Option<u16>,
    /// Largest number of trainable parameters of all adapters together [default: that of the space]
    #[arg(long, value_name = "N", value_parser = from(1))]
    parameters: Option<u64>,
    /// Ranks that adapters may have, separated by commas [default: those of the space, mostly 8]
    #[arg(long, value_name = "R", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    ranks: Vec<u16>,
}

impl SpaceOptions {
    /// Whether the command line specifies anything about the space.
    pub(crate) fn is_given(&self) -> bool {
        self.space.is_some()
            || self.adapters.is_some()
            || self.parameters.is_some()
            || !self.ranks.is_empty()
    }

    /// The file that describes the space, or `None` for a space by name.
    pub(crate) fn file(&self) -> Option<&Path> {
        let path = self.space.as_deref()?;
        named(path).is_none().then_some(path)
    }

    /// The space that was asked for, or `otherwise` if none was.
    ///
    /// # Errors
    /// If the file is missing or invalid.
    pub(crate) fn description_or(
        &self,
        otherwise: SpaceDescription,
    ) -> Result<SpaceDescription, SpaceError> {
        let mut description = match &self.space {
            None => otherwise,
            Some(path) => described(path)?,
        };
        if let Some(adapters) = self.adapters {
            let budget = &mut description.budget;
            budget.adapters = adapters;
            budget.min_adapters = budget.min_adapters.map(|least| least.min(adapters));
        }
        if self.parameters.is_some() {
            description.budget.parameters = self.parameters;
        }
        if !self.ranks.is_empty() {
            description.adapter.ranks.clone_from(&self.ranks);
        }
        Ok(description)
    }

    /// The space that was asked for, or the space of all connections if none was.
    ///
    /// # Errors
    /// If the file is missing or invalid.
    pub(crate) fn description(&self) -> Result<SpaceDescription, SpaceError> {
        self.description_or(
            SpaceDescription::named("extended").expect("`extended` is the name of a space"),
        )
    }
}

/// The space of a name or a file.
///
/// # Errors
/// If there is no such file, or if it cannot be understood.
pub(crate) fn described(space: &Path) -> Result<SpaceDescription, SpaceError> {
    match named(space) {
        Some(space) => Ok(space),
        None => SpaceDescription::read(space),
    }
}

fn named(name: &Path) -> Option<SpaceDescription> {
    name.to_str().and_then(SpaceDescription::named)
}
