use std::collections::{BTreeMap, HashMap};

use adaplace_backbone::{Backbone, Inputs, InstructionSet, Precision};
use adaplace_scorer::{Model, Parameters};
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use adaplace_testkit::shared;
use candle_core::{DType, Device, Tensor};

/// The outputs of the PyTorch definition for one backbone, and the backbone itself.
pub struct Fixture {
    folder: String,
    name: String,
    backbone: Backbone,
    tensors: HashMap<String, Tensor>,
    cases: BTreeMap<String, Vec<(u16, u16)>>,
}

impl Fixture {
    pub fn open(backbone: &str, outputs: &str) -> Self {
        let folder = shared(&format!("backbones/{backbone}"));
        let path = shared(&format!("parity/{outputs}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let cases = &header.metadata().as_ref().unwrap()["cases"];
        Self {
            folder: backbone.to_owned(),
            name: backbone.to_owned(),
            backbone: Backbone::load(&folder, None).unwrap(),
            tensors: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap(),
            cases: serde_json::from_str(cases).unwrap(),
        }
    }

    /// The folder of the backbone.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    pub fn cases(&self) -> BTreeMap<String, Vec<(u16, u16)>> {
        assert_eq!(self.cases.len(), 8, "the fixtures hold eight cases");
        self.cases.clone()
    }

    pub fn tensor(&self, name: &str) -> Tensor {
        self.tensors[name].clone()
    }

    pub fn inputs(&self) -> Inputs {
        let Some(ids) = self.tensors.get("input_ids") else {
            return Inputs::Images {
                pixels: self.tensor("pixel_values"),
            };
        };
        let (rows, tokens) = ids.dims2().unwrap();
        let values =
            |tensor: &Tensor, dtype| tensor.flatten_all().unwrap().to_dtype(dtype).unwrap();
        let ids = values(ids, DType::U32).to_vec1::<u32>().unwrap();
        let mask = values(&self.tensors["attention_mask"], DType::U8)
            .to_vec1::<u8>()
            .unwrap();
        Inputs::text(rows, tokens, &ids, &vec![0; ids.len()], &mask).unwrap()
    }

    pub fn labels(&self) -> Vec<u32> {
        let labels = self.tensors["labels"].to_dtype(DType::U32).unwrap();
        labels.to_vec1().unwrap()
    }

    /// The number of real tokens of each example.
    pub fn lengths(&self) -> Vec<usize> {
        let inputs = self.inputs();
        let examples = 0..inputs.examples().unwrap();
        let tokens = self.backbone.description().input.fixed_tokens();
        let real = |row| {
            let mask = inputs.mask().unwrap().row(row);
            mask.iter().filter(|&&keep| keep != 0).count()
        };
        examples
            .map(|row| tokens.unwrap_or_else(|| real(row)))
            .collect()
    }

    pub fn computed_with(mut self, set: InstructionSet, precision: Precision) -> Self {
        self.name = format!("{}, {set:?}, {precision}", self.folder);
        let backbone = self.backbone.with_instruction_set(set);
        self.backbone = backbone.with_precision(precision);
        self
    }

    /// The model of a case.
    pub fn model(&self, case: &str, connections: &[(u16, u16)]) -> Model<'_> {
        let width = self.backbone.description().width;
        let classes = self.tensors["head.bias"].elem_count();
        let adapter = |&(source, target): &(u16, u16)| {
            let down = &self.tensors[&format!("{case}/{source}-{target}.down.bias")];
            let spec = AdapterSpec::new(down.elem_count() as u16, 1.0).unwrap();
            (Connection { source, target }, spec)
        };
        let placement: Placement = connections.iter().map(adapter).collect();
        let parameters = Parameters::from_tensors(&placement, width, classes, |name, shape| {
            let tensor = match name.starts_with("head.") {
                true => &self.tensors[name],
                false => &self.tensors[&format!("{case}/{name}")],
            };
            assert_eq!(tensor.dims(), shape, "{name}");
            tensor.flatten_all()?.to_vec1()
        });
        Model::new(&self.backbone, parameters.unwrap()).unwrap()
    }

    pub fn training_connections(&self) -> Vec<(u16, u16)> {
        let states = self.backbone.description().hidden_states as u16;
        let last = states - 1;
        vec![(last - 2, 1), (2, 3), (1, last - 1)]
    }
}
