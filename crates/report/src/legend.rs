//! Legends, which explain colours and shapes.

use maud::{Markup, Render, html};

use crate::ink::Ink;

/// A name and its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) ink: Ink,
}

/// An entry of a legend: a name with a sample of the mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LegendEntry {
    pub(crate) key: Key,
    mark: Mark,
}

/// The mark that something is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A line.
    Line,
    /// A line in a band.
    Band,
    /// A point.
    Point,
    /// A small, pale point.
    Dot,
    /// A ring, larger than a point.
    Ring,
    /// A point with a bar for its error.
    ErrorBar,
    /// The outline of a square.
    Square,
}

impl Key {
    pub(crate) fn new(name: impl Into<String>, ink: Ink) -> Self {
        let name = name.into();
        Self { name, ink }
    }

    /// The entry for this mark.
    pub(crate) fn entry(&self, mark: Mark) -> LegendEntry {
        let key = self.clone();
        LegendEntry { key, mark }
    }

    /// The entry of a line that may have a band.
    pub(crate) fn line(&self, has_band: bool) -> LegendEntry {
        self.entry(if has_band { Mark::Band } else { Mark::Line })
    }
}

impl Render for LegendEntry {
    fn render(&self) -> Markup {
        let Key { name, ink } = &self.key;
        let line = html! { path d="M1 7H21" stroke=(ink) stroke-width="2.5" {} };
        let shape = match self.mark {
            Mark::Line => line,
            Mark::Band => html! {
                rect x="1" y="2" width="20" height="10" fill=(ink) opacity="0.18" {}
                (line)
            },
            Mark::Point => html! { circle cx="11" cy="7" r="4.5" fill=(ink) {} },
            Mark::Dot => html! { circle cx="11" cy="7" r="2.5" fill=(ink) opacity="0.6" {} },
            Mark::Ring => {
                html! { circle cx="11" cy="7" r="5" fill="none" stroke=(ink) stroke-width="2" {} }
            }
            Mark::ErrorBar => html! {
                path d="M11 0V14" stroke=(ink) stroke-width="2" {}
                circle cx="11" cy="7" r="4" fill=(ink) {}
            },
            Mark::Square => html! {
                rect x="6" y="2" width="10" height="10" fill="none" stroke=(ink) stroke-width="2" {}
            },
        };
        html! { li { svg viewBox="0 0 22 14" aria-hidden="true" { (shape) } (name) } }
    }
}

/// All entries side by side; nothing if there are none.
pub(crate) fn legend(entries: &[LegendEntry]) -> Markup {
    html! {
        @if !entries.is_empty() {
            ul.legend { @for entry in entries { (entry) } }
        }
    }
}
