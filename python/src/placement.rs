use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use adaplace_search_space::{
    AdapterForm, AdapterSpec, Connection as Pair, Placement as Set, PlacementFile,
};
use adaplace_study::backbone_reference;
use pyo3::prelude::*;

use crate::backbone::Backbone;
use crate::error::OrRaise;

/// A connection i -> j with its adapter: it reads h_source and adds to h_target.
///
/// Args:
///     source: The hidden state that is read.
///     target: The hidden state to which the output is added.
///     rank: The bottleneck width r.
///     scale: The factor on the adapter's output.
///
/// Raises:
///     AdaplaceError: If the rank is 0, or the scale is 0 or not finite.
#[pyclass(frozen, eq, hash, get_all, module = "adaplace")]
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct Connection {
    /// The hidden state that is read.
    source: u16,
    /// The hidden state to which the output is added.
    target: u16,
    /// The bottleneck width r.
    rank: u16,
    /// The factor on the adapter's output, an f32.
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

impl Hash for Scale {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
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

    /// The kind: sequential i = j, parallel j = i + 1, long-range j > i + 1, recurrent j < i.
    #[getter]
    fn kind(&self) -> &str {
        Pair::new(self.source, self.target).kind().name()
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

/// A set of connections, each with its adapter. Their order is irrelevant.
///
/// Args:
///     connections: The connections, as ``Connection`` or ``(source, target[, rank[, scale]])`` with default rank 8 and
///         scale 1.
///
/// Raises:
///     AdaplaceError: If a connection is given twice, or a rank or scale is out of range.
#[pyclass(frozen, eq, hash, module = "adaplace", from_py_object)]
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct Placement {
    pub(crate) inner: Set,
}

#[pymethods]
impl Placement {
    #[new]
    #[pyo3(signature = (connections = None))]
    fn new(connections: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let mut adapters = Vec::new();
        let all = connections.map(|all| all.try_iter()).transpose()?;
        for given in all.into_iter().flatten() {
            let given = given?;
            let (source, target, rank, scale) = match given.extract()? {
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

    /// Reads the placement in a file. ``PlacementFile.read`` also reads for which backbone it was made.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        let inner = PlacementFile::read(&path).or_raise()?.placement;
        Ok(Self { inner })
    }

    /// Writes the placement, made for ``backbone``, to a file.
    fn write(&self, path: PathBuf, backbone: &Backbone) -> PyResult<()> {
        self.file(backbone).write(&path).or_raise()
    }

    /// The content of the file that ``write`` writes.
    fn to_toml(&self, backbone: &Backbone) -> PyResult<String> {
        self.file(backbone).to_toml().or_raise()
    }

    /// Checks that every connection is within h_0 .. h_{hidden_states - 1}.
    ///
    /// Raises:
    ///     AdaplaceError: With the first connection that is not.
    pub(crate) fn check_range(&self, hidden_states: u16) -> PyResult<()> {
        self.inner.check_range(hidden_states).or_raise()
    }

    /// The connections in canonical order.
    #[getter]
    fn connections(&self) -> Vec<Connection> {
        let adapters = self.inner.iter();
        adapters
            .map(|(pair, adapter)| Connection::of(pair, adapter))
            .collect()
    }

    /// The number of forward passes: 2 with a recurrent connection, else 1.
    #[getter]
    fn passes(&self) -> u8 {
        self.inner.passes()
    }

    /// The name of the placement, the same on every machine and in every version.
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
