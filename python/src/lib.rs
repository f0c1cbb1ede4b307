//! The engine as a Python module: backbones, tasks, search spaces, placements and their files, gradient maps, the built-in
//! scorer, and studies by ask and tell. Code that needs another library (`torch`, `ray`, `pandas`, `matplotlib`) is written
//! in Python.
//!
//! The doc comments of classes and members are their docstrings in Python, so they are in its form. `_adaplace.pyi` has
//! the types.

mod adapter_file;
mod backbone;
mod configuration;
mod convert;
mod error;
mod gradient_map;
mod interrupt;
mod placement;
mod placement_file;
mod score;
mod scorer;
mod search_space;
mod study;
mod task;

use pyo3::prelude::*;

#[pymodule]
mod _adaplace {
    #[pymodule_export]
    use super::adapter_file::AdapterFile;
    #[pymodule_export]
    use super::backbone::Backbone;
    #[pymodule_export]
    use super::configuration::{new_configuration, read_configuration};
    #[pymodule_export]
    use super::error::{AdaplaceError, DivergedError};
    #[pymodule_export]
    use super::gradient_map::GradientMap;
    #[pymodule_export]
    use super::placement::{Connection, Placement};
    #[pymodule_export]
    use super::placement_file::{BackboneReference, PlacementFile};
    #[pymodule_export]
    use super::score::{Score, Trial};
    #[pymodule_export]
    use super::scorer::Scorer;
    #[pymodule_export]
    use super::search_space::SearchSpace;
    #[pymodule_export]
    use super::study::Study;
    #[pymodule_export]
    use super::task::Task;

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn version(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
