//! What placement files and adapter files say about where they come from.

use std::collections::BTreeMap;
use std::path::Path;

use adaplace_backbone::Pooling;
use adaplace_search_space::PlacementFile;
use anyhow::{Result, bail};

/// The keys of the metadata in the file of the adapters.
pub(crate) const PLACEMENT: &str = "placement";
pub(crate) const WEIGHTS: &str = "weights_sha256";
pub(crate) const CLASSES: &str = "classes";
pub(crate) const MAX_LENGTH: &str = "max_length";

/// The pooling that the placement was made with.
pub(crate) fn pooling(file: &PlacementFile, path: &Path) -> Result<Option<Pooling>> {
    match file.backbone.pooling.as_str() {
        "mean" => Ok(Some(Pooling::Mean)),
        "cls" => Ok(Some(Pooling::Cls)),
        other => bail!(
            "`{}` has the pooling `{other}`, which is not supported; choose `mean` or `cls`",
            path.display()
        ),
    }
}

/// Checks that the adapters were trained with this placement file. Connections and ranks alone do not identify the
/// scale and the backbone.
pub(crate) fn check_origin(
    metadata: &BTreeMap<String, String>,
    file: &PlacementFile,
    path: &Path,
) -> Result<()> {
    let placement = file.placement.hash().to_string();
    for (name, expected) in [
        (PLACEMENT, &placement),
        (WEIGHTS, &file.backbone.weights_sha256),
    ] {
        if let Some(found) = metadata.get(name)
            && found != expected
        {
            bail!(
                "`{}` was trained with another {name}, `{found}` and not `{expected}`; use the placement that it was trained for",
                path.display()
            );
        }
    }
    Ok(())
}
