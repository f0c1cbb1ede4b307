use std::fmt;

/// The revision where none is given.
const MAIN: &str = "main";

/// The longest part of a name that the hub allows.
const LONGEST: usize = 96;

/// `org/name` or `org/name@revision`: a model of the hub, and a branch, tag or commit of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    repository: String,
    revision: Option<String>,
}

impl ModelName {
    /// Reads a name; nothing if the text cannot be one. A path of one folder in another can be, so look there first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (organisation, name) = repository.split_once('/')?;
        let sound = is_part(organisation) && is_part(name) && revision.is_none_or(is_revision);
        sound.then(|| Self {
            repository: repository.to_owned(),
            revision: revision.map(str::to_owned),
        })
    }

    /// `org/name`
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// A branch, tag or commit; `main` where the name holds none.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.repository)?;
        match &self.revision {
            Some(revision) => write!(formatter, "@{revision}"),
            None => Ok(()),
        }
    }
}

fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // Both become names of folders in the cache.
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('.') && !text.ends_with('.')
}

fn is_part(text: &str) -> bool {
    is_word(text) && text.len() <= LONGEST && !text.starts_with('-') && !text.contains("--")
}

/// As `main`, `v1.0`, a commit or `refs/pr/3`.
fn is_revision(text: &str) -> bool {
    text.split('/').all(is_word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, repository, revision) in [
            ("org/name", "org/name", "main"),
            ("Org-1/na_me.v2@v1.0", "Org-1/na_me.v2", "v1.0"),
            ("org/name@refs/pr/3", "org/name", "refs/pr/3"),
        ] {
            let name = ModelName::parse(text).unwrap();
            assert_eq!((name.repository(), name.revision()), (repository, revision));
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_none() {
        for text in [
            "",
            "name",
            "/name",
            "org/",
            "a/b/c",
            "../name",
            "org/..",
            "./name",
            "org/na me",
            "~/name",
            "org/name@",
            "org/name@../x",
            "org/name@a/../b",
            "org/name@/x",
            "org/name@a@b",
            "a--b/c",
            "-a/b",
        ] {
            assert_eq!(ModelName::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_name_leads_to_no_other_folder(text in "[a./@-]{0,12}|\\PC{0,12}") {
            if let Some(name) = ModelName::parse(&text) {
                let parts = name.repository().split('/').chain(name.revision().split('/'));
                for part in parts {
                    prop_assert!(!part.is_empty() && part != "." && part != "..");
                }
            }
        }
    }
}
