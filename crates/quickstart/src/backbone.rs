use std::fs;
use std::path::Path;

use crate::QuickstartError;

/// The files of the backbone's folder. `weights/README.md` describes how the weights were trained.
const FILES: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../weights/config.json")),
    (
        "preprocessor_config.json",
        include_bytes!("../weights/preprocessor_config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../weights/model.safetensors"),
    ),
];

/// Writes the backbone as a Hugging Face folder: a ViT of 6 blocks and width 64, for pictures of 32 x 32 pixels in
/// patches of 4 x 4. Existing files are overwritten.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write_backbone(folder: &Path) -> Result<(), QuickstartError> {
    fs::create_dir_all(folder).map_err(|source| QuickstartError::Write {
        path: folder.to_owned(),
        source,
    })?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| QuickstartError::Write { path, source })?;
    }
    Ok(())
}

/// Whether the backbone's files are in the folder, with the right content.
pub(crate) fn is_backbone(folder: &Path) -> bool {
    let is_same = |(name, bytes): (&str, &[u8])| {
        fs::read(folder.join(name)).is_ok_and(|found| found == bytes)
    };
    FILES.into_iter().all(is_same)
}
