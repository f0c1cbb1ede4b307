use std::path::{Path, PathBuf};

/// A file or folder among the real backbones, data and fixtures, which are outside the project: in `ADAPLACE_SHARED`, or in
/// `../shared` next to the checkout. Tests that need them are ignored by default and run by name.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn shared(path: &str) -> PathBuf {
    let root = std::env::var_os("ADAPLACE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let found = root.join(path);
    assert!(
        found.exists(),
        "`{}` is missing; set ADAPLACE_SHARED to the folder that has it",
        found.display()
    );
    found
}
