//! What every study starts from: the linear probe and the gradient map of the frozen model.

use std::sync::Arc;

use adaplace_scorer::{GradientMap, ProxyScorer, Statistics, TrainingSettings};
use adaplace_search_space::{Fidelity, Placement};
use adaplace_study::{
    GradientMapFile, GradientMapSource, GradientProxy, Setting, StudyFolder, backbone_reference,
};
use adaplace_task::Examples;
use anyhow::Result;

/// A scorer with its probe fitted, and the map at that probe.
pub(super) struct Frozen<'a> {
    pub(super) scorer: ProxyScorer<'a>,
    pub(super) map: Arc<GradientMap>,
    pub(super) file: GradientMapFile,
    /// What the map was made from.
    examples: Examples,
    statistics: &'a Statistics,
    steps: Fidelity,
}

/// What it depends on beside backbone and task.
pub(super) struct FrozenSettings<'a> {
    pub(super) training: TrainingSettings,
    pub(super) gradient_map: &'a GradientMapSource,
    pub(super) statistics: &'a Statistics,
    /// Of the trainings after which connections are judged anew.
    pub(super) steps: Fidelity,
    pub(super) seed: u64,
}

impl<'a> Frozen<'a> {
    /// Fits the probe, makes the map and writes it to the folder.
    pub(super) fn new(
        setting: &'a Setting,
        settings: FrozenSettings<'a>,
        cache_memory: usize,
        folder: &StudyFolder,
    ) -> Result<Self> {
        let FrozenSettings {
            training,
            gradient_map,
            statistics,
            steps,
            seed,
        } = settings;
        let Setting { backbone, task, .. } = setting;
        let scorer = ProxyScorer::within_memory(backbone, task, training, seed, cache_memory)?;
        let examples = task.train.spread(gradient_map.examples);
        let nothing = Placement::new();
        let map = scorer.gradient_map(
            &nothing,
            steps,
            &examples,
            &gradient_map.settings,
            statistics,
        )?;
        let reference = backbone_reference(backbone);
        let file = GradientMapFile::new(&map, scorer.probe(), reference, &task.name);
        file.write(&folder.gradient_map())?;
        Ok(Self {
            scorer,
            map: Arc::new(map),
            file,
            examples,
            statistics,
            steps,
        })
    }

    /// Judges connections by the map, and by one made anew at adapters that were placed.
    pub(super) fn proxy(&self) -> GradientProxy<'_> {
        GradientProxy::new(
            &self.scorer,
            &self.examples,
            Arc::clone(&self.map),
            self.statistics.clone(),
            self.steps,
        )
    }
}
