//! What every training of a study starts from: the linear probe and the gradient map of the frozen model.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_backbone::Backbone;
use adaplace_scorer::{GradientMap, ProxyScorer, Resources, Statistics};
use adaplace_search_space::{Fidelity, SearchSpace};
use adaplace_task::Task;

use crate::{
    Configuration, GradientMapFile, GradientProxy, Importances, Opened, PreparationSettings, Study,
    StudyConfiguration, StudyError, StudyFolder, StudyParts, backbone_reference,
};

/// A scorer with its probe fitted, and the gradient map at that probe.
#[derive(Debug)]
pub struct Prepared {
    /// The scorer, which holds the probe.
    pub scorer: Arc<ProxyScorer>,
    /// The map.
    pub map: Arc<GradientMap>,
    /// The map as a file.
    pub map_file: GradientMapFile,
    /// Time that the map took, in seconds.
    pub map_seconds: f64,
    statistics: Statistics,
    steps: Fidelity,
}

impl Prepared {
    /// Fits the probe and makes the map.
    ///
    /// # Errors
    /// If the device cannot be used, the task's inputs are not of the backbone's kind, or a gradient is not finite.
    pub fn new(
        backbone: &Arc<Backbone>,
        task: &Arc<Task>,
        settings: PreparationSettings,
        resources: Resources,
    ) -> Result<Self, StudyError> {
        let PreparationSettings {
            training,
            gradient_map,
            connections,
            statistics,
            steps,
            seed,
        } = settings;
        let scorer = ProxyScorer::with_resources(
            Arc::clone(backbone),
            Arc::clone(task),
            training,
            seed.get(),
            resources,
        )?;
        let examples = task.train.spread(gradient_map.examples.get());
        let start = Instant::now();
        let settings = &gradient_map.settings;
        let map = scorer.gradient_map(&examples, &connections, settings, &statistics)?;
        let map_seconds = start.elapsed().as_secs_f64();
        let reference = backbone_reference(backbone);
        let map_file = GradientMapFile::new(&map, scorer.probe(), reference, &task.name);
        Ok(Self {
            scorer: Arc::new(scorer),
            map: Arc::new(map),
            map_file,
            map_seconds,
            statistics,
            steps,
        })
    }

    /// Opens the folder of results at `path`, prepares its trainings in `space` and writes the map into it. The folder is
    /// locked before anything is computed.
    ///
    /// # Errors
    /// See [`StudyFolder::open`] and [`Self::new`].
    pub fn open<C: Configuration>(
        path: &Path,
        configuration: &C,
        space: &SearchSpace,
        (backbone, task): (&Arc<Backbone>, &Arc<Task>),
        resources: Resources,
    ) -> Result<(Self, Opened), StudyError> {
        let opened = StudyFolder::open(path, configuration)?;
        let settings = configuration.preparation(space);
        let prepared = Self::new(backbone, task, settings, resources)?;
        prepared.map_file.write(&opened.folder.gradient_map())?;
        Ok((prepared, opened))
    }

    /// The proxy that scores connections and placements by the map and by trainings of many connections together. The
    /// study in `folder` keeps the results of these trainings.
    #[must_use]
    pub fn proxy(&self, folder: &StudyFolder) -> GradientProxy {
        GradientProxy::new(
            Arc::clone(&self.scorer),
            Arc::clone(&self.map),
            self.statistics.clone(),
            self.steps,
            Importances::at(folder.importances()),
        )
    }

    /// The study of a folder opened for `configuration`, with the trainings in its journal.
    ///
    /// # Errors
    /// If the strategy cannot search the space.
    pub fn study(
        &self,
        configuration: &StudyConfiguration,
        space: &Arc<SearchSpace>,
        opened: Opened,
    ) -> Result<Study, StudyError> {
        let own_objective = configuration.search.objective.is_some();
        let proxy = Arc::new(self.proxy(&opened.folder));
        Ok(Study::new(StudyParts {
            strategy: configuration.build_strategy(space, proxy)?,
            configuration: configuration.clone(),
            space: Arc::clone(space),
            probe: self.map_file.probe,
            map: (!own_objective).then(|| Arc::clone(&self.map)),
            backbone: self.map_file.backbone.clone(),
            opened,
        }))
    }
}
