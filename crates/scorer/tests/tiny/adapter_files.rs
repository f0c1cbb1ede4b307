//! Adapters written to a file and read back, and files from elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use adaplace_scorer::{Head, Metadata, Parameters};
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use crate::support::{WIDTH, trained};

const CONNECTIONS: [(u16, u16); 3] = [(0, 1), (2, 2), (4, 0)];

fn written() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    trained(&CONNECTIONS, 1).write(&metadata(), &path).unwrap();
    (folder, path)
}

fn metadata() -> Metadata {
    Metadata {
        placement: Some(placement().hash()),
        weights_sha256: Some("ab".repeat(32)),
        classes: None,
        problem: None,
        scale: None,
        max_length: Some(12),
    }
}

fn placement() -> Placement {
    trained(&CONNECTIONS, 1).placement().clone()
}

fn assert_refused(placement: &Placement, path: &Path, parts: &[&str]) {
    let error = Parameters::read(placement, WIDTH, path).unwrap_err();
    let message = error.to_string();
    let name = path.display().to_string();
    for part in [&[name.as_str()], parts].concat() {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn a_round_trip_keeps_every_bit() {
    let (_folder, path) = written();
    let (read, read_metadata) = Parameters::read(&placement(), WIDTH, &path).unwrap();
    let original = trained(&CONNECTIONS, 1);
    assert_eq!(read.placement(), original.placement());
    let bits = |parameters: &Parameters| -> Vec<(String, Vec<u32>)> {
        let tensors = parameters.tensors().into_iter();
        let bits = tensors.map(|tensor| {
            let values = tensor.values.into_iter();
            (tensor.name, values.map(f32::to_bits).collect())
        });
        bits.collect()
    };
    assert_eq!(bits(&read), bits(&original));
    assert_eq!(read_metadata, metadata());
}

/// Other programs depend on the names and shapes.
#[test]
fn the_file_has_the_documented_tensors() {
    let (_folder, path) = written();
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<(String, Vec<usize>)> = file
        .iter()
        .map(|(name, view)| (name.to_owned(), view.shape().to_vec()))
        .collect();
    found.sort();
    let mut expected = vec![
        ("head.weight".to_owned(), vec![3, WIDTH]),
        ("head.bias".to_owned(), vec![3]),
    ];
    for name in ["0-1", "2-2", "4-0"] {
        expected.extend([
            (format!("{name}.down.weight"), vec![4, WIDTH]),
            (format!("{name}.down.bias"), vec![4]),
            (format!("{name}.up.weight"), vec![WIDTH, 4]),
            (format!("{name}.up.bias"), vec![WIDTH]),
        ]);
    }
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn an_earlier_file_is_replaced_and_nothing_else_is_left() {
    let (folder, path) = written();
    let other = trained(&[(1, 3)], 2);
    other.write(&Metadata::default(), &path).unwrap();
    assert!(Parameters::read(other.placement(), WIDTH, &path).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("adapters.safetensors");
    let parameters = trained(&CONNECTIONS, 1);
    let error = parameters.write(&Metadata::default(), &path).unwrap_err();
    let name = path.display().to_string();
    assert!(error.to_string().contains(&name), "{error}");
    assert_refused(&placement(), &path, &["cannot use adapter file"]);
}

#[test]
fn another_rank() {
    let (_folder, path) = written();
    let spec = AdapterSpec::new(8, 1.0).unwrap();
    let placement = placement().with(
        Connection {
            source: 0,
            target: 1,
        },
        spec,
    );
    let parts = ["0-1.down.weight", "[4, 32]", "[8, 32]", "another rank"];
    assert_refused(&placement, &path, &parts);
}

#[test]
fn another_width() {
    let (_folder, path) = written();
    let error = Parameters::read(&placement(), 48, &path).unwrap_err();
    assert!(error.to_string().contains("[4, 48]"), "{error}");
}

#[test]
fn another_placement() {
    let (_folder, path) = written();
    let spec = AdapterSpec::new(4, 1.0).unwrap();
    let connection = Connection {
        source: 1,
        target: 3,
    };
    let parts = ["no tensor `1-3.down.weight`", "another placement"];
    assert_refused(&placement().with(connection, spec), &path, &parts);
    let fewer = placement().without(Connection {
        source: 2,
        target: 2,
    });
    let parts = ["has the tensor `2-2.down.bias`", "another placement"];
    assert_refused(&fewer, &path, &parts);
}

#[test]
fn adapters_without_a_head() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let all = trained(&CONNECTIONS, 1);
    let values = |name: &str, _: &[usize]| -> Result<Vec<f32>, String> {
        let tensors = all.tensors().into_iter();
        let mut found = tensors.filter(|tensor| tensor.name == name);
        Ok(found.next().unwrap().values)
    };
    let adapters = Parameters::from_tensors(&placement(), WIDTH, 0, values).unwrap();
    adapters.write(&metadata(), &path).unwrap();
    let (read, _) = Parameters::read(&placement(), WIDTH, &path).unwrap();
    assert_eq!(read.classes(), 0);
    assert_eq!(read, adapters);
}

#[test]
fn half_a_head() {
    let (_folder, path) = written();
    for (left, missing) in [
        ("head.bias", "no tensor `head.weight` of shape [3, 32]"),
        ("head.weight", "no tensor `head.bias` of shape [3]"),
    ] {
        trained(&CONNECTIONS, 1).write(&metadata(), &path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let kept = file
            .iter()
            .filter(|(name, _)| !name.starts_with("head") || *name == left);
        fs::write(&path, safetensors::serialize(kept, None).unwrap()).unwrap();
        assert_refused(&placement(), &path, &[missing]);
    }
}

#[test]
fn diverged_adapters_are_not_written() {
    let (_folder, path) = written();
    let before = fs::read(&path).unwrap();
    let head = Head {
        weight: vec![f32::NAN; 3 * WIDTH],
        bias: vec![0.0; 3],
    };
    let diverged = trained(&CONNECTIONS, 1).with_head(&head);
    let error = diverged.write(&metadata(), &path).unwrap_err().to_string();
    assert!(
        error.contains("`head.weight` contains a value that is not finite"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Changes one tensor of the file.
fn edit(path: &Path, edited: &str, edit: impl Fn(&mut Dtype, &mut Vec<u8>)) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = file
        .iter()
        .map(|(name, view)| {
            let (mut dtype, mut data) = (view.dtype(), view.data().to_vec());
            if name == edited {
                edit(&mut dtype, &mut data);
            }
            (name.to_owned(), dtype, view.shape().to_vec(), data)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn another_number_type() {
    let (_folder, path) = written();
    edit(&path, "2-2.up.bias", |dtype, _| *dtype = Dtype::I32);
    assert_refused(&placement(), &path, &["2-2.up.bias", "I32", "F32"]);
}

#[test]
fn values_that_are_no_numbers() {
    let (_folder, path) = written();
    edit(&path, "head.weight", |_, data| {
        data[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert_refused(&placement(), &path, &["head.weight", "not finite"]);
}

#[test]
fn a_truncated_file() {
    let (_folder, path) = written();
    let bytes = fs::read(&path).unwrap();
    for length in [0, 5, 200, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_refused(&placement(), &path, &["damaged or truncated"]);
    }
}
