//! What every study starts from: the linear probe and the gradient map of the frozen model.

use std::sync::Arc;
use std::time::Instant;

use adaplace_backbone::Backbone;
use adaplace_scorer::{GradientMap, ProxyScorer, Statistics, TrainingSettings};
use adaplace_search_space::{Fidelity, SearchSpace};
use adaplace_task::Task;

use crate::{
    GradientMapFile, GradientMapSource, GradientProxy, Importances, Journal, Record, Session,
    SessionParts, StudyConfiguration, StudyError, StudyFolder, backbone_reference,
};

/// A scorer with its probe fitted, and the map at that probe.
pub struct Frozen<'a> {
    /// It holds the probe.
    pub scorer: ProxyScorer<'a>,
    /// The map.
    pub map: Arc<GradientMap>,
    /// The map as it is written.
    pub file: GradientMapFile,
    /// How long the map took, in seconds.
    pub map_seconds: f64,
    statistics: Statistics,
    steps: Fidelity,
}

/// What it depends on beside backbone and task.
pub struct FrozenSettings<'a> {
    /// How adapters are trained.
    pub training: TrainingSettings,
    /// How the map is made.
    pub gradient_map: &'a GradientMapSource,
    /// What it holds, at least.
    pub statistics: &'a Statistics,
    /// Of the trainings after which connections are judged anew.
    pub steps: Fidelity,
    /// Of all random choices.
    pub seed: u64,
}

impl<'a> Frozen<'a> {
    /// Fits the probe and makes the map.
    ///
    /// # Errors
    /// If the task's inputs are not of the backbone's kind, or a gradient is no number.
    pub fn new(
        backbone: &'a Backbone,
        task: &'a Task,
        settings: FrozenSettings<'_>,
        cache_memory: usize,
    ) -> Result<Self, StudyError> {
        let FrozenSettings {
            training,
            gradient_map,
            statistics,
            steps,
            seed,
        } = settings;
        let scorer = ProxyScorer::within_memory(backbone, task, training, seed, cache_memory)?;
        let examples = task.train.spread(gradient_map.examples);
        let start = Instant::now();
        let map = scorer.gradient_map(&examples, &gradient_map.settings, statistics)?;
        let map_seconds = start.elapsed().as_secs_f64();
        let reference = backbone_reference(backbone);
        let file = GradientMapFile::new(&map, scorer.probe(), reference, &task.name);
        Ok(Self {
            scorer,
            map: Arc::new(map),
            file,
            map_seconds,
            statistics: statistics.clone(),
            steps,
        })
    }

    /// Judges connections and placements by the map, and by trainings of many connections together, which the study in `folder`
    /// does once.
    #[must_use]
    pub fn proxy(&self, folder: &StudyFolder) -> GradientProxy<'_> {
        GradientProxy::new(
            &self.scorer,
            Arc::clone(&self.map),
            self.statistics.clone(),
            self.steps,
            Importances::at(folder.importances()),
        )
    }

    /// The study of a folder that was opened for `configuration`, with the trainings that its journal holds.
    ///
    /// # Errors
    /// If the strategy cannot search the space.
    pub fn session<'s>(
        &'s self,
        configuration: &'s StudyConfiguration,
        space: &'s SearchSpace,
        (folder, journal, records): (StudyFolder, Journal, Vec<Record>),
    ) -> Result<Session<'s>, StudyError> {
        let own_objective = configuration.search.objective.is_some();
        Ok(Session::new(SessionParts {
            strategy: configuration.build_strategy(space, Arc::new(self.proxy(&folder)))?,
            configuration,
            space,
            probe: self.scorer.probe(),
            map: (!own_objective).then(|| Arc::clone(&self.map)),
            backbone: self.file.backbone.clone(),
            folder,
            journal,
            records,
        }))
    }
}
