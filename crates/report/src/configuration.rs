//! The configuration, setting by setting.

use adaplace_study::Configuration;
use toml::{Table as Settings, Value};

use crate::document::Section;
use crate::table::{Cell, Table};

pub(crate) fn section<C: Configuration>(configuration: &C) -> Section {
    let settings = Settings::try_from(configuration).unwrap_or_default();
    let mut rows = Vec::new();
    collect("", &settings, &mut rows);
    let caption = format!("The content of {}.", C::FILE);
    let mut table = Table::new(caption, &["setting", "value"]);
    for (setting, value) in rows {
        table.row(vec![Cell::Text(setting), Cell::Text(value)]);
    }
    Section::new("Configuration", &table)
}

/// Values before tables, as in the file.
fn collect(path: &str, settings: &Settings, rows: &mut Vec<(String, String)>) {
    let (tables, values): (Vec<_>, Vec<_>) =
        settings.iter().partition(|(_, value)| value.is_table());
    for (name, value) in values.into_iter().chain(tables) {
        let setting = match path {
            "" => name.clone(),
            _ => format!("{path}.{name}"),
        };
        match value {
            Value::Table(inner) => collect(&setting, inner, rows),
            Value::String(text) => rows.push((setting, text.clone())),
            other => rows.push((setting, other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_by_their_tables() {
        let settings =
            toml::from_str("b = 'x'\n[c]\nd = [1, 2]\n[c.e]\nf = 0.5\n[a]\ng = true").unwrap();
        let mut rows = Vec::new();
        collect("", &settings, &mut rows);
        let rows: Vec<String> = rows
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(rows, ["b=x", "a.g=true", "c.d=[1, 2]", "c.e.f=0.5"]);
    }
}
