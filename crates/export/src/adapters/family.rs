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
    /// Whether a LayerNorm follows the residual sum, as in BERT, or is inside the residual branch, as in a ViT.
    pub(super) post_norm: bool,
    /// The path of the list of blocks.
    blocks: &'static str,
    /// The library's own support for the family, without an interface.
    pub(super) native: Option<Native>,
    /// The interface that describes the family to the library.
    pub(super) interface: Interface,
}

impl Family {
    /// Whether the backbone reads texts.
    pub(super) fn reads_text(&self) -> bool {
        self.post_norm
    }
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
    /// The family of this `model_type`, if it is supported.
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

const fn like_bert(model_class: &'static str, adapter_model_class: &'static str) -> Family {
    Family {
        model_class,
        post_norm: true,
        blocks: OF_BERT.model_layers,
        native: Some(Native {
            adapter_model_class,
            head_type: "classification",
            parallel: false,
            keys: ["attention.output.adapters", "output.adapters"],
        }),
        interface: OF_BERT,
    }
}

static BERT: Family = like_bert("BertModel", "BertAdapterModel");
static ROBERTA: Family = like_bert("RobertaModel", "RobertaAdapterModel");
static XLM_ROBERTA: Family = like_bert("XLMRobertaModel", "XLMRobertaAdapterModel");
static ELECTRA: Family = like_bert("ElectraModel", "ElectraAdapterModel");

/// The LayerNorms and the attention of a block are siblings, and the attention gets its input as a keyword argument,
/// which hooks see only in `q_lin`.
static DISTILBERT: Family = Family {
    model_class: "DistilBertModel",
    post_norm: true,
    blocks: "transformer.layer",
    native: Some(Native {
        adapter_model_class: "DistilBertAdapterModel",
        head_type: "classification",
        parallel: false,
        keys: HOOKED,
    }),
    interface: Interface {
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
};

static VIT: Family = Family {
    model_class: "ViTModel",
    post_norm: false,
    blocks: COMMON.model_layers,
    native: Some(Native {
        adapter_model_class: "ViTAdapterModel",
        head_type: "image_classification",
        parallel: true,
        keys: [
            "attention_adapters.adapters",
            "output.output_adapters.adapters",
        ],
    }),
    interface: COMMON,
};

static DEIT: Family = Family {
    model_class: "DeiTModel",
    post_norm: false,
    blocks: COMMON.model_layers,
    native: None,
    interface: COMMON,
};

/// The sublayers' outputs are scaled before they are added to the state, so the hooks are on the scales.
const fn like_dinov2(model_class: &'static str) -> Family {
    Family {
        model_class,
        post_norm: false,
        blocks: COMMON.model_layers,
        native: None,
        interface: Interface {
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
        },
    }
}

static DINOV2: Family = like_dinov2("Dinov2Model");
static DINOV2_WITH_REGISTERS: Family = like_dinov2("Dinov2WithRegistersModel");
