use std::collections::{BTreeMap, HashMap};

use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_backbone::{Backbone, Inputs};
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use adaplace_testkit::shared;
use candle_core::{DType, Device, Tensor};

use crate::{Model, Parameters};

/// The outputs of the PyTorch definition for one backbone, and the backbone itself.
pub struct Fixture<A: Arithmetic = Cpu> {
    folder: String,
    name: String,
    backbone: Backbone<A>,
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
}

impl<A: Arithmetic> Fixture<A> {
    /// The folder of the backbone.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn backbone(&self) -> &Backbone<A> {
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
        let values = |tensor: &Tensor, dtype| tensor.flatten_all()?.to_dtype(dtype);
        let Some(ids) = self.tensors.get("input_ids") else {
            let pixels = self.tensor("pixel_values");
            let shape = pixels.dims().try_into().unwrap();
            let pixels = values(&pixels, DType::F32).unwrap().to_vec1().unwrap();
            return Inputs::images(shape, pixels);
        };
        let mask = self.tensors["attention_mask"].to_dtype(DType::U32);
        let mask: Vec<Vec<u32>> = mask.unwrap().to_vec2().unwrap();
        let padded: Vec<u32> = values(ids, DType::U32).unwrap().to_vec1().unwrap();
        let real = padded.iter().zip(mask.iter().flatten());
        let real: Vec<u32> = real
            .filter(|(_, keep)| **keep != 0)
            .map(|(&id, _)| id)
            .collect();
        let lengths = mask.iter().map(|row| row.iter().sum::<u32>() as usize);
        let types = vec![0; real.len()];
        Inputs::text(lengths.collect(), real, types)
    }

    pub fn labels(&self) -> Vec<u32> {
        let labels = self.tensors["labels"].to_dtype(DType::U32).unwrap();
        labels.to_vec1().unwrap()
    }

    /// The number of real tokens of each example.
    pub fn lengths(&self) -> Vec<usize> {
        let offsets = self.backbone.offsets(&self.inputs());
        offsets.windows(2).map(|ends| ends[1] - ends[0]).collect()
    }

    pub fn computed_with<B: Arithmetic>(self, arithmetic: B) -> Fixture<B> {
        Fixture {
            name: format!("{}, {arithmetic:?}", self.folder),
            backbone: self.backbone.on(arithmetic),
            folder: self.folder,
            tensors: self.tensors,
            cases: self.cases,
        }
    }

    /// The model of a case.
    pub fn model(&self, case: &str, connections: &[(u16, u16)]) -> Model<'_, A> {
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
            tensor.flatten_all()?.to_vec1::<f32>()
        });
        Model::new(&self.backbone, parameters.unwrap()).unwrap()
    }

    pub fn training_connections(&self) -> Vec<(u16, u16)> {
        let states = self.backbone.description().hidden_states as u16;
        let last = states - 1;
        vec![(last - 2, 1), (2, 3), (1, last - 1)]
    }
}
