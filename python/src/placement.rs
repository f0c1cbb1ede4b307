use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use adaplace_search_space::{
    AdapterForm, AdapterSpec, Connection as Pair, Placement as Set, PlacementFile,
};
use adaplace_study::backbone_reference;
use pyo3::prelude::*;

use crate::backbone::Backbone;
use crate::error::OrRaise;

/// A connection with its adapter.
#[pyclass(frozen, eq, get_all, module = "adaplace")]
#[derive(Clone, PartialEq)]
pub(crate) struct Connection {
    source: u16,
    target: u16,
    rank: u16,
    scale: Scale,
}

/// A finite factor, compared by its bits.
#[derive(Clone, Copy)]
struct Scale(f32);

impl PartialEq for Scale {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl<'py> IntoPyObject<'py> for Scale {
    type Target = pyo3::types::PyFloat;
    type Output = Bound<'py, Self::Target>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        f64::from(self.0).into_pyobject(py)
    }
}

impl Connection {
    fn of(pair: Pair, adapter: AdapterSpec) -> Self {
        Self {
            source: pair.source,
            target: pair.target,
            rank: adapter.rank,
            scale: Scale(adapter.scale),
        }
    }
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (source, target, rank = 8, scale = 1.0))]
    fn new(source: u16, target: u16, rank: u16, scale: f32) -> PyResult<Self> {
        let adapter = AdapterSpec::new(rank, scale).or_raise()?;
        Ok(Self::of(Pair::new(source, target), adapter))
    }

    #[getter]
    fn kind(&self) -> &str {
        Pair::new(self.source, self.target).kind().name()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.source, self.target, self.rank, self.scale.0.to_bits()).hash(&mut hasher);
        hasher.finish()
    }

    fn __getnewargs__(&self) -> (u16, u16, u16, f32) {
        (self.source, self.target, self.rank, self.scale.0)
    }

    fn __repr__(&self) -> String {
        format!(
            "Connection({}, {}, rank={}, scale={:?})",
            self.source, self.target, self.rank, self.scale.0
        )
    }
}

/// The forms in which a connection can be passed.
#[derive(FromPyObject)]
pub(crate) enum Given<'py> {
    Connection(PyRef<'py, Connection>),
    Full((u16, u16, u16, f32)),
    Ranked((u16, u16, u16)),
    Pair((u16, u16)),
}

/// A set of connections, each with its adapter.
#[pyclass(frozen, eq, module = "adaplace", from_py_object)]
#[derive(Clone, PartialEq)]
pub(crate) struct Placement {
    pub(crate) inner: Set,
}

#[pymethods]
impl Placement {
    #[new]
    #[pyo3(signature = (connections = Vec::new()))]
    fn new(connections: Vec<Given<'_>>) -> PyResult<Self> {
        let mut adapters = Vec::new();
        for given in connections {
            let (source, target, rank, scale) = match given {
                Given::Connection(one) => (one.source, one.target, one.rank, one.scale.0),
                Given::Full(full) => full,
                Given::Ranked((source, target, rank)) => (source, target, rank, 1.0),
                Given::Pair((source, target)) => (source, target, 8, 1.0),
            };
            let adapter = AdapterSpec::new(rank, scale).or_raise()?;
            adapters.push((Pair::new(source, target), adapter));
        }
        let inner = Set::from_distinct(adapters).or_raise()?;
        Ok(Self { inner })
    }

    /// Reads the placement in a file.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        let inner = PlacementFile::read(&path).or_raise()?.placement;
        Ok(Self { inner })
    }

    /// Writes the placement, made for `backbone`, to a file.
    fn write(&self, path: PathBuf, backbone: &Backbone) -> PyResult<()> {
        self.file(backbone).write(&path).or_raise()
    }

    /// The content of the file that `write` writes.
    fn to_toml(&self, backbone: &Backbone) -> PyResult<String> {
        self.file(backbone).to_toml().or_raise()
    }

    #[getter]
    fn connections(&self) -> Vec<Connection> {
        let adapters = self.inner.iter();
        adapters
            .map(|(pair, adapter)| Connection::of(pair, adapter))
            .collect()
    }

    #[getter]
    fn passes(&self) -> u8 {
        self.inner.passes()
    }

    #[getter]
    fn hash(&self) -> String {
        self.inner.hash().to_string()
    }

    fn __getnewargs__(&self) -> (Vec<Connection>,) {
        (self.connections(),)
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(&self.inner, &mut hasher);
        hasher.finish()
    }

    fn __str__(&self) -> String {
        self.inner.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Placement {}>", self.inner)
    }
}

impl Placement {
    fn file(&self, backbone: &Backbone) -> PlacementFile {
        PlacementFile {
            backbone: backbone_reference(&backbone.inner),
            adapter: AdapterForm::default(),
            placement: self.inner.clone(),
            provenance: None,
        }
    }
}
