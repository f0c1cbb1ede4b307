use std::fmt;

/// The revision of a name that does not contain one.
const MAIN: &str = "main";

/// The largest length of a part of a name that the hub allows.
const LONGEST: usize = 96;

/// The kind of a repository on the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model,
    /// A dataset.
    Dataset,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        })
    }
}

/// The name `org/name` or `org/name@revision` of a model or dataset of the hub, with a branch, tag or commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    kind: Kind,
    repository: String,
    revision: Option<String>,
}

impl RepositoryName {
    /// Parses a name. `None` if the text cannot be one. The path of a folder in a folder also looks like a name, so
    /// check whether it exists first.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (organisation, name) = repository.split_once('/')?;
        let sound = is_part(organisation) && is_part(name) && revision.is_none_or(is_revision);
        sound.then(|| Self {
            kind,
            repository: repository.to_owned(),
            revision: revision.map(str::to_owned),
        })
    }

    /// Whether the repository is a model or a dataset.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The repository's name `org/name`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The branch, tag or commit, `main` by default.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// Whether the name itself contains a revision.
    pub(crate) fn has_revision(&self) -> bool {
        self.revision.is_some()
    }

    /// The name of another revision of the same repository.
    pub(crate) fn at(&self, revision: &str) -> Self {
        Self {
            revision: Some(revision.to_owned()),
            ..self.clone()
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.repository)?;
        match &self.revision {
            Some(revision) => write!(formatter, "@{revision}"),
            None => Ok(()),
        }
    }
}

/// The name of a dataset of the hub, and of the subset ("config") to use: `org/name`, `org/name:subset` or either of
/// them with `@revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetName {
    pub(crate) repository: RepositoryName,
    pub(crate) subset: Option<String>,
}

impl DatasetName {
    /// Parses a name. `None` if the text cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (before, revision) = match text.split_once('@') {
            Some((before, revision)) => (before, format!("@{revision}")),
            None => (text, String::new()),
        };
        let (repository, subset) = match before.split_once(':') {
            Some((repository, subset)) => (repository, Some(subset)),
            None => (before, None),
        };
        if !subset.is_none_or(is_word) {
            return None;
        }
        let repository = RepositoryName::parse(Kind::Dataset, &format!("{repository}{revision}"))?;
        let subset = subset.map(str::to_owned);
        Some(Self { repository, subset })
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.repository.repository())?;
        if let Some(subset) = &self.subset {
            write!(formatter, ":{subset}")?;
        }
        match self.repository.has_revision() {
            true => write!(formatter, "@{}", self.repository.revision()),
            false => Ok(()),
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

/// Whether the text looks like `main`, `v1.0`, a commit or `refs/pr/3`.
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
            let name = RepositoryName::parse(Kind::Model, text).unwrap();
            assert_eq!((name.repository(), name.revision()), (repository, revision));
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn names_of_datasets_may_hold_a_subset() {
        for (text, subset, revision) in [
            ("org/name", None, "main"),
            ("org/name:sst2", Some("sst2"), "main"),
            ("org/name:2019-05.a@v1", Some("2019-05.a"), "v1"),
        ] {
            let name = DatasetName::parse(text).unwrap();
            assert_eq!(name.repository.repository(), "org/name");
            assert_eq!(name.subset.as_deref(), subset);
            assert_eq!(name.repository.revision(), revision);
            assert_eq!(name.to_string(), text);
        }
        for text in [
            "org/name:",
            "org/name:a/b",
            "org/name:..",
            "org:a/name",
            "org/name@v1:a",
        ] {
            assert_eq!(DatasetName::parse(text), None, "{text}");
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
            assert_eq!(RepositoryName::parse(Kind::Model, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_name_leads_to_no_other_folder(text in "[a./@-]{0,12}|\\PC{0,12}") {
            if let Some(name) = RepositoryName::parse(Kind::Model, &text) {
                let parts = name.repository().split('/').chain(name.revision().split('/'));
                for part in parts {
                    prop_assert!(!part.is_empty() && part != "." && part != "..");
                }
            }
        }
    }
}
