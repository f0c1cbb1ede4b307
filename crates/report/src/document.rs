//! A page: one HTML file that needs nothing else, no script and no request.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use crate::ink::Ink;

/// The style rules for both themes. The rules of the inks are generated from their colours.
const STYLE: &str = include_str!("style.css");

/// The content security policy: the page makes no request, whatever its content.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// A page with an introduction and sections.
#[derive(Debug, Clone)]
pub(crate) struct Document<'a> {
    /// The command that writes it.
    pub(crate) command: &'static str,
    /// The name of the study or comparison.
    pub(crate) title: &'a str,
    /// A sentence or two about it.
    pub(crate) lead: String,
    /// The main results, as a few numbers.
    pub(crate) facts: Vec<Markup>,
    /// The sections, from top to bottom.
    pub(crate) sections: Vec<Section>,
}

/// A part of a page under a heading.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    title: &'static str,
    body: Markup,
}

impl Section {
    /// A section with a heading and a body.
    pub(crate) fn new(title: &'static str, body: impl Render) -> Self {
        let body = body.render();
        Self { title, body }
    }
}

/// A number that is shown large, with its name and a note.
pub(crate) fn fact(name: impl Render, value: impl Render, note: impl Render) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } span { (note) } } } }
}

impl Document<'_> {
    /// The whole file.
    pub(crate) fn html(&self) -> String {
        let mut page = html! {
            (DOCTYPE)
            html lang="en" {
                (self.head())
                body {
                    header {
                        p.overline { "adaplace " (self.command) }
                        h1 { (self.title) }
                        p.lead { (self.lead) }
                        dl.facts { @for fact in &self.facts { (fact) } }
                    }
                    nav aria-label="Sections" {
                        @for (number, section) in (1..).zip(&self.sections) {
                            a href={ "#s" (number) } { (section.title) }
                        }
                    }
                    main {
                        @for (number, section) in (1..).zip(&self.sections) {
                            section id={ "s" (number) } { h2 { (section.title) } (section.body) }
                            "\n"
                        }
                    }
                    footer {
                        "Made by adaplace " (env!("CARGO_PKG_VERSION")) ". "
                        "This file needs no network and runs no script."
                    }
                }
            }
            "\n"
        }
        .into_string();
        // Control characters are invalid in a document, even escaped.
        page.retain(|character| !character.is_control() || matches!(character, '\n' | '\t'));
        page
    }

    fn head(&self) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (self.title) " · adaplace " (self.command) }
                // It contains no outside text, and quotes in a style sheet must not be escaped.
                style { (PreEscaped(STYLE)) (PreEscaped(Ink::rules())) }
            }
            "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_was_put_in_and_nothing_from_outside() {
        let page = Document {
            command: "search",
            title: "<name>\u{1b}\u{0}",
            lead: "a & b".to_owned(),
            facts: vec![fact("best", "1 < 2", "")],
            sections: vec![Section::new("First & last", html! { p { "text" } })],
        }
        .html();
        for part in [
            "<title>&lt;name&gt; · adaplace search</title>",
            "<h1>&lt;name&gt;</h1>",
            "a &amp; b",
            "1 &lt; 2",
            "<a href=\"#s1\">First &amp; last</a>",
            "<section id=\"s1\"><h2>First &amp; last</h2><p>text</p></section>",
            "Content-Security-Policy",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        for part in ["<script", "src=\"", "url(", "@import", "\u{1b}", "\u{0}"] {
            assert!(!page.contains(part), "{part}");
        }
    }
}
