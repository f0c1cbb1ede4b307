//! Lists of labels.

use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::{LABELS, Number, ParquetFile, invalid};
use crate::TaskError;
use crate::rows::Label;

impl ParquetFile {
    /// The field with this name, if it is a list.
    pub(super) fn list(&self, name: &str) -> Option<Arc<Type>> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let repeated = schema.columns().iter().any(|column| {
            column.path().parts().first().map(String::as_str) == Some(name)
                && column.max_rep_level() == 1
        });
        let fields = schema.root_schema().get_fields().iter();
        let mut named = fields.filter(|field| repeated && field.name() == name);
        named.next().cloned()
    }

    /// The lists of labels of a field, with `None` for null.
    pub(super) fn lists(
        &self,
        name: &str,
        field: Arc<Type>,
    ) -> Result<Vec<Option<Label>>, TaskError> {
        let failed = |error: ParquetError| invalid(&self.path, &error);
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let only = Type::group_type_builder(schema.root_schema().name())
            .with_fields(vec![field])
            .build()
            .map_err(failed)?;
        let names = self.class_names(name);
        let rows = self.reader.get_row_iter(Some(only)).map_err(failed)?;
        let list = |(row, found): (usize, Result<Row, ParquetError>)| {
            let found = found.map_err(failed)?;
            let Some((_, field)) = found.get_column_iter().next() else {
                return Ok(None);
            };
            let wrong = |found: &Field| TaskError::InvalidValue {
                place: self.place(row),
                column: name.to_owned(),
                expected: match names.is_empty() {
                    true => LABELS,
                    false => "the number of one of its named classes",
                },
                found: found.to_string(),
            };
            match field {
                Field::Null => Ok(None),
                Field::ListInternal(list) => {
                    let labels = list.elements().iter();
                    let labels = labels.map(|one| label(one, &names).ok_or_else(|| wrong(one)));
                    Ok(Some(Label::Several(labels.collect::<Result<_, _>>()?)))
                }
                other => Err(wrong(other)),
            }
        };
        rows.enumerate().map(list).collect()
    }
}

fn label(field: &Field, names: &[String]) -> Option<String> {
    let number = match *field {
        Field::Str(ref text) => return Some(text.trim().to_owned()),
        Field::Bool(value) => return Some(value.to_string()),
        Field::Byte(number) => Number::Whole(number.into()),
        Field::Short(number) => Number::Whole(number.into()),
        Field::Int(number) => Number::Whole(number.into()),
        Field::Long(number) => Number::Whole(number),
        Field::UByte(number) => Number::Whole(number.into()),
        Field::UShort(number) => Number::Whole(number.into()),
        Field::UInt(number) => Number::Whole(number.into()),
        Field::Float(number) => Number::Fraction(number.into()),
        Field::Double(number) => Number::Fraction(number),
        _ => return None,
    };
    number.label(names)
}
