//! The positions at which the library `adapters` 1.3 places its adapters in each family of backbones.

use serde::Serialize;

/// One of the two places in a block where the library puts an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// After the attention sublayer, the library's `mh_adapter`.
    Attention,
    /// After the MLP sublayer, the library's `output_adapter`.
    Output,
}

/// The way in which one family is handled.
pub(super) struct Family {
    /// The class of the backbone in transformers.
    pub(super) model_class: &'static str,
    /// Whether the backbone reads texts, and not pictures.
    pub(super) reads_text: bool,
    /// Whether a LayerNorm follows the residual sum, as in BERT, or is inside the residual branch, as in a ViT.
    pub(super) post_norm: bool,
    /// The path of the list of blocks.
    blocks: &'static str,
    /// The library's own support for the family, without an interface.
    pub(super) native: Option<Native>,
    /// The interface that describes the family to the library.
    pub(super) interface: Interface,
}

/// The library's own code for a family.
pub(super) struct Native {
    /// The library's class with exchangeable heads.
    pub(super) adapter_model_class: &'static str,
    /// The type of head in that class that is a linear layer on the first token.
    pub(super) head_type: &'static str,
    /// Whether its parallel adapters add to the state, like ours, and not to the input of the LayerNorm.
    pub(super) parallel: bool,
    /// The names under which the adapters of a block are stored: the one after the attention and the one after the MLP.
    keys: [&'static str; 2],
}

/// The library's `AdapterModelInterface`: the modules to which it attaches hooks that read and change hidden states.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Interface {
    adapter_methods: [&'static str; 1],
    model_embeddings: &'static str,
    model_layers: &'static str,
    layer_self_attn: &'static str,
    layer_cross_attn: Option<&'static str>,
    attn_q_proj: &'static str,
    attn_k_proj: &'static str,
    attn_v_proj: &'static str,
    /// A module below `layer_self_attn`, whose output is the input of the adapter after the attention.
    attn_o_proj: &'static str,
    layer_intermediate_proj: &'static str,
    /// The module whose output is the input of the adapter after the MLP.
    layer_output_proj: &'static str,
    /// The module whose first input is the state before the attention.
    layer_pre_self_attn: &'static str,
    /// The module whose first input is the state before the MLP.
    layer_pre_ffn: &'static str,
}

/// The names under which adapters placed by an interface are stored.
const HOOKED: [&str; 2] = ["attention_adapters.adapters", "output_adapters.adapters"];

/// The module itself, for a field of the interface that must name something below a module.
const ITSELF: &str = "forward.__self__";

impl Family {
    /// The family of this `model_type`, if it is supported. Gemma 3 is not: the library does not find the tensors of an
    /// adapter for a `Gemma3TextModel`, not even those that it has saved.
    pub(super) fn of(model_type: &str) -> Option<&'static Self> {
        Some(match model_type {
            "bert" => &BERT,
            "roberta" => &ROBERTA,
            "xlm-roberta" => &XLM_ROBERTA,
            "electra" => &ELECTRA,
            "distilbert" => &DISTILBERT,
            "vit" => &VIT,
            "deit" => &DEIT,
            "dinov2" => &DINOV2,
            "dinov2_with_registers" => &DINOV2_WITH_REGISTERS,
            "dinov3_vit" => &DINOV3,
            "clip_vision_model" => &CLIP,
            "siglip_vision_model" => &SIGLIP,
            "mpnet" => &MPNET,
            "deberta-v2" => &DEBERTA_V2,
            "modernbert" => &MODERNBERT,
            "gpt2" => &GPT2,
            "llama" => &LLAMA,
            "mistral" => &MISTRAL,
            "qwen2" => &QWEN2,
            "qwen3" => &QWEN3,
            "starcoder2" => &STARCODER2,
            "gemma" => &GEMMA,
            "gemma2" => &GEMMA2,
            _ => return None,
        })
    }

    /// The prefix of the names of all tensors of the adapter `name` in a block, with or without an interface.
    pub(super) fn prefix(
        &self,
        hooked: bool,
        layer: u16,
        location: Location,
        name: &str,
    ) -> String {
        let [attention, output] = match &self.native {
            Some(native) if !hooked => native.keys,
            _ => HOOKED,
        };
        let place = match location {
            Location::Attention => attention,
            Location::Output => output,
        };
        format!("{}.{layer}.{place}.{name}", self.blocks)
    }
}

const COMMON: Interface = Interface {
    adapter_methods: ["bottleneck"],
    model_embeddings: "embeddings",
    model_layers: "encoder.layer",
    layer_self_attn: "attention",
    layer_cross_attn: None,
    attn_q_proj: "attention.query",
    attn_k_proj: "attention.key",
    attn_v_proj: "attention.value",
    attn_o_proj: "output",
    layer_intermediate_proj: "intermediate.dense",
    layer_output_proj: "output.dense",
    layer_pre_self_attn: "layernorm_before",
    layer_pre_ffn: "layernorm_after",
};

const OF_BERT: Interface = Interface {
    attn_q_proj: "self.query",
    attn_k_proj: "self.key",
    attn_v_proj: "self.value",
    attn_o_proj: "output.LayerNorm",
    layer_output_proj: "output.LayerNorm",
    layer_pre_self_attn: "attention",
    layer_pre_ffn: "intermediate",
    ..COMMON
};

/// A family of text models whose residual sums are normalised, for which the library needs the interface.
const fn post_norm(model_class: &'static str, interface: Interface) -> Family {
    Family {
        model_class,
        reads_text: true,
        post_norm: true,
        blocks: interface.model_layers,
        native: None,
        interface,
    }
}

/// A family of text models with norms in the residual branches, for which the library needs the interface.
const fn pre_norm(model_class: &'static str, interface: Interface) -> Family {
    Family {
        post_norm: false,
        ..post_norm(model_class, interface)
    }
}

/// A family of image models, for which the library needs the interface.
const fn of_pictures(model_class: &'static str, interface: Interface) -> Family {
    Family {
        reads_text: false,
        ..pre_norm(model_class, interface)
    }
}

const fn like_bert(model_class: &'static str, adapter_model_class: &'static str) -> Family {
    Family {
        native: Some(Native {
            adapter_model_class,
            head_type: "classification",
            parallel: false,
            keys: ["attention.output.adapters", "output.adapters"],
        }),
        ..post_norm(model_class, OF_BERT)
    }
}

static BERT: Family = like_bert("BertModel", "BertAdapterModel");
static ROBERTA: Family = like_bert("RobertaModel", "RobertaAdapterModel");
static XLM_ROBERTA: Family = like_bert("XLMRobertaModel", "XLMRobertaAdapterModel");
static ELECTRA: Family = like_bert("ElectraModel", "ElectraAdapterModel");

/// The LayerNorms and the attention of a block are siblings, and the attention gets its input as a keyword argument,
/// which hooks see only in `q_lin`.
static DISTILBERT: Family = Family {
    native: Some(Native {
        adapter_model_class: "DistilBertAdapterModel",
        head_type: "classification",
        parallel: false,
        keys: HOOKED,
    }),
    ..post_norm(
        "DistilBertModel",
        Interface {
            model_layers: "transformer.layer",
            layer_self_attn: "sa_layer_norm",
            attn_q_proj: "weight",
            attn_k_proj: "weight",
            attn_v_proj: "weight",
            attn_o_proj: ITSELF,
            layer_intermediate_proj: "ffn.lin1",
            layer_output_proj: "output_layer_norm",
            layer_pre_self_attn: "attention.q_lin",
            layer_pre_ffn: "ffn",
            ..COMMON
        },
    )
};

static VIT: Family = Family {
    native: Some(Native {
        adapter_model_class: "ViTAdapterModel",
        head_type: "image_classification",
        parallel: true,
        keys: [
            "attention_adapters.adapters",
            "output.output_adapters.adapters",
        ],
    }),
    ..of_pictures("ViTModel", COMMON)
};

static DEIT: Family = of_pictures("DeiTModel", COMMON);

/// The sublayers' outputs are scaled before they are added to the state, so the hooks are on the scales.
const OF_DINOV2: Interface = Interface {
    layer_self_attn: "layer_scale1",
    attn_q_proj: "lambda1",
    attn_k_proj: "lambda1",
    attn_v_proj: "lambda1",
    attn_o_proj: ITSELF,
    layer_intermediate_proj: "mlp",
    layer_output_proj: "layer_scale2",
    layer_pre_self_attn: "norm1",
    layer_pre_ffn: "norm2",
    ..COMMON
};

static DINOV2: Family = of_pictures("Dinov2Model", OF_DINOV2);
static DINOV2_WITH_REGISTERS: Family = of_pictures("Dinov2WithRegistersModel", OF_DINOV2);
static DINOV3: Family = of_pictures(
    "DINOv3ViTModel",
    Interface {
        model_layers: "layer",
        ..OF_DINOV2
    },
);

const OF_TOWER: Interface = Interface {
    model_embeddings: "vision_model.embeddings",
    model_layers: "vision_model.encoder.layers",
    attn_o_proj: "out_proj",
    layer_intermediate_proj: "mlp.fc1",
    layer_output_proj: "mlp.fc2",
    layer_pre_self_attn: "layer_norm1",
    layer_pre_ffn: "layer_norm2",
    ..OF_LLAMA
};

static CLIP: Family = of_pictures("CLIPVisionModel", OF_TOWER);
static SIGLIP: Family = of_pictures("SiglipVisionModel", OF_TOWER);

static MPNET: Family = post_norm(
    "MPNetModel",
    Interface {
        attn_q_proj: "attn.q",
        attn_k_proj: "attn.k",
        attn_v_proj: "attn.v",
        attn_o_proj: "LayerNorm",
        ..OF_BERT
    },
);

static DEBERTA_V2: Family = post_norm(
    "DebertaV2Model",
    Interface {
        attn_q_proj: "self.query_proj",
        attn_k_proj: "self.key_proj",
        attn_v_proj: "self.value_proj",
        ..OF_BERT
    },
);

const OF_LLAMA: Interface = Interface {
    model_embeddings: "embed_tokens",
    model_layers: "layers",
    layer_self_attn: "self_attn",
    attn_q_proj: "q_proj",
    attn_k_proj: "k_proj",
    attn_v_proj: "v_proj",
    attn_o_proj: "o_proj",
    layer_intermediate_proj: "mlp.up_proj",
    layer_output_proj: "mlp.down_proj",
    layer_pre_self_attn: "input_layernorm",
    layer_pre_ffn: "post_attention_layernorm",
    ..COMMON
};

static LLAMA: Family = pre_norm("LlamaModel", OF_LLAMA);
static MISTRAL: Family = pre_norm("MistralModel", OF_LLAMA);
static QWEN2: Family = pre_norm("Qwen2Model", OF_LLAMA);
static QWEN3: Family = pre_norm("Qwen3Model", OF_LLAMA);
static GEMMA: Family = pre_norm("GemmaModel", OF_LLAMA);
static STARCODER2: Family = pre_norm(
    "Starcoder2Model",
    Interface {
        layer_intermediate_proj: "mlp.c_fc",
        layer_output_proj: "mlp.c_proj",
        ..OF_LLAMA
    },
);

/// Norms end the residual branches, so the hooks are on these.
const OF_GEMMA2: Interface = Interface {
    layer_self_attn: "post_attention_layernorm",
    attn_q_proj: "weight",
    attn_k_proj: "weight",
    attn_v_proj: "weight",
    attn_o_proj: ITSELF,
    layer_output_proj: "post_feedforward_layernorm",
    layer_pre_ffn: "pre_feedforward_layernorm",
    ..OF_LLAMA
};

static GEMMA2: Family = pre_norm("Gemma2Model", OF_GEMMA2);

static MODERNBERT: Family = pre_norm(
    "ModernBertModel",
    Interface {
        model_embeddings: "embeddings",
        layer_self_attn: "attn",
        attn_q_proj: "Wqkv",
        attn_k_proj: "Wqkv",
        attn_v_proj: "Wqkv",
        attn_o_proj: "Wo",
        layer_intermediate_proj: "mlp.Wi",
        layer_output_proj: "mlp.Wo",
        layer_pre_self_attn: "attn_norm",
        layer_pre_ffn: "mlp_norm",
        ..OF_LLAMA
    },
);

static GPT2: Family = pre_norm(
    "GPT2Model",
    Interface {
        model_embeddings: "wte",
        model_layers: "h",
        layer_self_attn: "attn",
        attn_q_proj: "c_attn",
        attn_k_proj: "c_attn",
        attn_v_proj: "c_attn",
        attn_o_proj: "c_proj",
        layer_intermediate_proj: "mlp.c_fc",
        layer_output_proj: "mlp.c_proj",
        layer_pre_self_attn: "ln_1",
        layer_pre_ffn: "ln_2",
        ..COMMON
    },
);
