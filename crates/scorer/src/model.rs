use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_backbone::Backbone;
use adaplace_task::Labels;

use crate::{Parameters, ScoreError};

/// A frozen backbone with the adapters of one placement and a head.
#[derive(Debug, Clone)]
pub struct Model<'a, A: Arithmetic = Cpu> {
    backbone: &'a Backbone<A>,
    parameters: Parameters,
}

impl<'a, A: Arithmetic> Model<'a, A> {
    /// Joins a backbone and parameters.
    ///
    /// # Errors
    /// If a connection is outside the backbone's hidden states, or if the widths differ.
    pub fn new(backbone: &'a Backbone<A>, parameters: Parameters) -> Result<Self, ScoreError> {
        let description = backbone.description();
        if parameters.width() != description.width {
            return Err(ScoreError::Width {
                found: parameters.width(),
                expected: description.width,
            });
        }
        let last = description.hidden_states - 1;
        for connection in parameters.connections() {
            if usize::from(connection.source.max(connection.target)) > last {
                return Err(ScoreError::OutOfRange { connection, last });
            }
        }
        Ok(Self {
            backbone,
            parameters,
        })
    }

    /// The frozen backbone.
    #[must_use]
    pub fn backbone(&self) -> &'a Backbone<A> {
        self.backbone
    }

    /// Checks that the labels are predicted by the head that the model has.
    pub(crate) fn check_labels(&self, labels: &Labels) -> Result<(), ScoreError> {
        let completions = matches!(labels, Labels::Completions(_));
        match completions == (self.parameters.classes() == 0) {
            true => Ok(()),
            false => Err(ScoreError::OtherHead),
        }
    }

    /// The values of adapters and head.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}
