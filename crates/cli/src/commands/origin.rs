//! What placement files and adapter files say about where they come from.

use std::path::Path;

use adaplace_backbone::Pooling;
use adaplace_scorer::{Metadata, Parameters};
use adaplace_search_space::PlacementFile;
use adaplace_task::ProblemKind;
use anyhow::{Result, bail};

/// The pooling that the placement was made with.
pub(crate) fn pooling(file: &PlacementFile, path: &Path) -> Result<Option<Pooling>> {
    let found = &file.backbone.pooling;
    let Ok(pooling) = found.parse() else {
        bail!(
            "`{}` has the pooling `{found}`, which is not supported; choose `mean`, `cls` or `last`",
            path.display()
        )
    };
    Ok(Some(pooling))
}

/// The adapters and the head in the file at `path`, which were trained with this placement file. Language modelling has no
/// trained head.
pub(crate) fn trained_parameters(
    file: &PlacementFile,
    path: &Path,
) -> Result<(Parameters, Metadata)> {
    let (placement, backbone) = (&file.placement, &file.backbone);
    let (parameters, metadata) = Parameters::read(placement, backbone.width as usize, path)?;
    metadata.check_origin(placement.hash(), &backbone.weights_sha256, path)?;
    let own_head = metadata.problem == Some(ProblemKind::LanguageModelling);
    if parameters.classes() == 0 && !own_head {
        bail!(
            "`{}` has no head; save the adapters together with their head",
            path.display()
        );
    }
    Ok((parameters, metadata))
}
