//! The differences between two configurations.

use toml::{Table, Value};

/// One phrase for each setting that differs, in the order of the settings' names.
pub(crate) fn differences(existing: &Table, wanted: &Table) -> Vec<String> {
    let mut found = Vec::new();
    compare("", existing, wanted, &mut found);
    found
}

fn compare(path: &str, existing: &Table, wanted: &Table, found: &mut Vec<String>) {
    let mut names: Vec<&String> = existing.keys().chain(wanted.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let setting = match path {
            "" => name.clone(),
            _ => format!("{path}.{name}"),
        };
        match (existing.get(name), wanted.get(name)) {
            (Some(Value::Table(existing)), Some(Value::Table(wanted))) => {
                compare(&setting, existing, wanted, found);
            }
            (existing, wanted) if existing != wanted => {
                let shown = |value: Option<&Value>| {
                    value.map_or_else(|| "not set".to_owned(), ToString::to_string)
                };
                found.push(format!(
                    "`{setting}` is {} there and {} here",
                    shown(existing),
                    shown(wanted)
                ));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named_with_both_values() {
        let existing = toml::from_str("a = 1\n[b]\nc = 'x'\nd = 2.5\n[e]\nf = [1, 2]").unwrap();
        let wanted = toml::from_str("a = 2\n[b]\nc = 'x'\n[e]\nf = [1, 2]").unwrap();
        assert_eq!(
            differences(&existing, &wanted),
            [
                "`a` is 1 there and 2 here",
                "`b.d` is 2.5 there and not set here"
            ]
        );
        assert!(differences(&existing, &existing).is_empty());
    }
}
