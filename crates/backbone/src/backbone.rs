use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use adaplace_arithmetic::{Arithmetic, Cpu, InstructionSet, Precision};

use crate::image_embedding::ImageEmbedding;
use crate::patch_rotation::PatchRotation;
use crate::pooling::Pooler;
use crate::sublayer::{Sublayer, Transform};
use crate::token_embedding::TokenEmbedding;
use crate::vocabulary_head::VocabularyHead;
use crate::{BackboneDescription, BackboneError, Chain, Inputs};

/// A frozen, pre-trained transformer, and the arithmetic that computes it.
#[derive(Debug)]
pub struct Backbone<A: Arithmetic = Cpu> {
    description: BackboneDescription,
    embedding: Arc<Embedding>,
    sublayers: Arc<[Sublayer]>,
    pooler: Arc<Pooler>,
    vocabulary_head: VocabularyHead,
    /// The positions of patches in the attentions, which follow the size of the pictures.
    patch_rotation: Option<PatchRotation>,
    arithmetic: A,
    chain: OnceLock<Chain<A>>,
    prepared_head: OnceLock<PreparedHead<A>>,
    /// Held by the thread that prepares the chain, so that no other one does, too.
    preparing: Mutex<()>,
}

/// The head over the vocabulary, prepared for an arithmetic.
struct PreparedHead<A: Arithmetic>(A::Linear);

impl<A: Arithmetic> std::fmt::Debug for PreparedHead<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PreparedHead")
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Embedding {
    Tokens(TokenEmbedding),
    Images(ImageEmbedding),
}

impl Backbone {
    pub(crate) fn new(
        description: BackboneDescription,
        embedding: Embedding,
        sublayers: Vec<Sublayer>,
        pooler: Pooler,
    ) -> Self {
        Self {
            description,
            embedding: Arc::new(embedding),
            sublayers: sublayers.into(),
            pooler: Arc::new(pooler),
            vocabulary_head: VocabularyHead::Missing("it is not a decoder".to_owned()),
            patch_rotation: None,
            arithmetic: Cpu::default(),
            chain: OnceLock::new(),
            prepared_head: OnceLock::new(),
            preparing: Mutex::new(()),
        }
    }

    /// The same with this head over its vocabulary.
    pub(crate) fn with_vocabulary_head(mut self, head: VocabularyHead) -> Self {
        self.vocabulary_head = head;
        self
    }

    /// The same with these positions of patches, for pictures of `grid` x `grid` patches.
    pub(crate) fn with_patch_rotation(mut self, rotation: PatchRotation, grid: usize) -> Self {
        self.turn_patches(&rotation, grid);
        self.patch_rotation = Some(rotation);
        self
    }

    /// This backbone computed with the given instructions instead of the best ones of this machine.
    #[must_use]
    pub fn with_instruction_set(self, instruction_set: InstructionSet) -> Self {
        let cpu = self.arithmetic;
        self.on(Cpu {
            instruction_set,
            ..cpu
        })
    }

    /// This backbone with its products in the given precision instead of f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        let cpu = self.arithmetic;
        self.on(Cpu { precision, ..cpu })
    }

    /// The number of bytes that the head over the vocabulary takes once it is prepared.
    #[must_use]
    pub fn prepared_head_bytes(&self) -> usize {
        let words = match &*self.embedding {
            Embedding::Tokens(embedding) => embedding.vocabulary(),
            Embedding::Images(_) => 0,
        };
        words * self.description.width * self.arithmetic.bytes_per_weight()
    }

    /// The number of bytes that the chain takes once it is prepared, in addition to the weights as they are stored.
    #[must_use]
    pub fn prepared_bytes(&self) -> usize {
        let weights: usize = self.sublayers.iter().map(Sublayer::weights).sum();
        weights * self.arithmetic.bytes_per_weight()
    }
}

impl<A: Arithmetic> Backbone<A> {
    /// This backbone, computed by another arithmetic. Both share the weights as they were read.
    #[must_use]
    pub fn on<B: Arithmetic>(&self, arithmetic: B) -> Backbone<B> {
        Backbone {
            description: self.description.clone(),
            embedding: Arc::clone(&self.embedding),
            sublayers: Arc::clone(&self.sublayers),
            pooler: Arc::clone(&self.pooler),
            vocabulary_head: self.vocabulary_head.clone(),
            patch_rotation: self.patch_rotation.clone(),
            arithmetic,
            chain: OnceLock::new(),
            prepared_head: OnceLock::new(),
            preparing: Mutex::new(()),
        }
    }

    /// This backbone for pictures of the given height and width instead of the size in `config.json`. The position
    /// embeddings of the patches are interpolated bicubically from those of the checkpoint. Rotary positions are computed
    /// for the new size.
    ///
    /// # Errors
    /// If the size is not a multiple of the patch size, or if the backbone reads text.
    pub fn with_image_size(mut self, image_size: usize) -> Result<Self, BackboneError> {
        match Arc::make_mut(&mut self.embedding) {
            Embedding::Tokens(_) => return Err(self.reads("text", "images")),
            Embedding::Images(embedding) => {
                embedding.set_image_size(image_size)?;
                self.description.input = embedding.description();
                let grid = embedding.grid();
                if let Some(rotation) = self.patch_rotation.take() {
                    self.turn_patches(&rotation, grid);
                    self.patch_rotation = Some(rotation);
                }
            }
        }
        Ok(self)
    }

    /// Gives every attention the positions of `grid` x `grid` patches.
    fn turn_patches(&mut self, rotation: &PatchRotation, grid: usize) {
        let rotation = Arc::new(rotation.on_grid(grid));
        for sublayer in Arc::make_mut(&mut self.sublayers) {
            if let Transform::Attention { attention, .. } = &mut sublayer.transform {
                attention.rotation = Some(Arc::clone(&rotation));
            }
        }
        self.chain = OnceLock::new();
    }

    /// What computes this backbone.
    #[must_use]
    pub fn arithmetic(&self) -> &A {
        &self.arithmetic
    }

    /// The shapes and sizes of this backbone, and the hash of its weights.
    #[must_use]
    pub fn description(&self) -> &BackboneDescription {
        &self.description
    }

    /// The number of sublayers N.
    #[must_use]
    pub fn sublayers(&self) -> usize {
        self.sublayers.len()
    }

    /// The chain as the arithmetic computes it. Its weights are prepared at the first call.
    ///
    /// # Errors
    /// If the arithmetic has no room for the weights. The processor always has.
    pub fn chain(&self) -> Result<&Chain<A>, BackboneError> {
        if let Some(chain) = self.chain.get() {
            return Ok(chain);
        }
        let _alone = self
            .preparing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(chain) = self.chain.get() {
            return Ok(chain);
        }
        let width = self.description.width;
        let chain = Chain::new(&self.arithmetic, &self.sublayers, &self.pooler, width)?;
        Ok(self.chain.get_or_init(|| chain))
    }

    /// Checks that there is a head over the vocabulary, without reading its weights.
    ///
    /// # Errors
    /// [`BackboneError::NoVocabularyHead`].
    pub fn check_vocabulary_head(&self) -> Result<(), BackboneError> {
        self.vocabulary_head.check(self.description.model_type)
    }

    /// The frozen head that predicts tokens from the features of a decoder, prepared at the first call.
    ///
    /// # Errors
    /// [`BackboneError::NoVocabularyHead`] if the backbone is not a decoder or its head is not in the folder. Also if the
    /// arithmetic has no room for the weights.
    pub fn vocabulary_head(&self) -> Result<&A::Linear, BackboneError> {
        if let Some(PreparedHead(head)) = self.prepared_head.get() {
            return Ok(head);
        }
        let _alone = self
            .preparing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(PreparedHead(head)) = self.prepared_head.get() {
            return Ok(head);
        }
        let embedding = match &*self.embedding {
            Embedding::Tokens(embedding) => Some(embedding),
            Embedding::Images(_) => None,
        };
        let BackboneDescription {
            model_type, width, ..
        } = self.description;
        let layer = self.vocabulary_head.layer(model_type, embedding, width)?;
        let head = PreparedHead(self.arithmetic.linear(&layer)?);
        let PreparedHead(head) = self.prepared_head.get_or_init(|| head);
        Ok(head)
    }

    /// The hidden state h_0, (rows, width) in row-major order: the tokens of one example after those of the other.
    ///
    /// # Errors
    /// If the inputs are of the other modality or of another size, are too long, or contain ids outside the vocabulary.
    pub fn embed(&self, inputs: &Inputs) -> Result<Vec<f32>, BackboneError> {
        match (&*self.embedding, inputs) {
            (
                Embedding::Tokens(embedding),
                Inputs::Text {
                    ids,
                    type_ids,
                    lengths,
                },
            ) => embedding.forward(ids, type_ids, lengths),
            (Embedding::Images(embedding), Inputs::Images { shape, pixels }) => {
                embedding.forward(*shape, pixels)
            }
            (Embedding::Tokens(_), Inputs::Images { .. }) => Err(self.reads("text", "images")),
            (Embedding::Images(_), Inputs::Text { .. }) => Err(self.reads("images", "text")),
        }
    }

    /// The offsets of the examples' rows in a state, followed by the number of rows.
    #[must_use]
    pub fn offsets(&self, inputs: &Inputs) -> Vec<usize> {
        let fixed = self.description.input.fixed_tokens();
        let lengths = match inputs {
            Inputs::Text { lengths, .. } => lengths.clone(),
            Inputs::Images { shape, .. } => vec![fixed.unwrap_or_default(); shape[0]],
        };
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        offsets
    }

    fn reads(&self, expected: &str, found: &str) -> BackboneError {
        BackboneError::Inputs {
            model_type: self.description.model_type,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    /// The width of the hidden layer of each sublayer: of the projections of an attention, or of an MLP before its
    /// activation.
    #[must_use]
    pub fn hidden_widths(&self) -> Vec<usize> {
        self.sublayers.iter().map(Sublayer::hidden_width).collect()
    }

    /// The floating-point operations of the forward pass of each sublayer for one example of `tokens` tokens. A
    /// multiply-add of a matrix product counts as two.
    #[must_use]
    pub fn sublayer_flops(&self, tokens: usize) -> Vec<u64> {
        let sublayers = self.sublayers.iter();
        sublayers.map(|sublayer| sublayer.flops(tokens)).collect()
    }
}
