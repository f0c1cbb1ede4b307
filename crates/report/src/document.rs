//! A page: one HTML file that needs nothing else, no script and no request.

use crate::ink::Ink;
use crate::markup::escaped;
use crate::svg::Svg;
use crate::table::Table;

/// The rules that hold in both themes; those of the inks are made from their colours.
const STYLE: &str = include_str!("style.css");

/// A page in the making.
#[derive(Debug, Clone)]
pub struct Document {
    title: String,
    header: String,
    sections: Vec<Section>,
}

impl Document {
    /// A page with this title; `lead` is what is read first, `command` says which one made it.
    #[must_use]
    pub fn new(title: &str, lead: &str, command: &str) -> Self {
        let header = format!(
            "<p class=\"overline\">adaplace {}</p><h1>{}</h1><p class=\"lead\">{}</p>",
            escaped(command),
            escaped(title),
            escaped(lead)
        );
        Self {
            title: format!("{title} · adaplace {command}"),
            header,
            sections: Vec::new(),
        }
    }

    /// Adds what the page is about in a few numbers, under its title.
    pub fn facts(&mut self, facts: &[Fact]) {
        self.header.push_str("<dl class=\"facts\">");
        for Fact { name, value, note } in facts {
            self.header.push_str(&format!(
                "<div><dt>{}</dt><dd><strong>{}</strong><span>{}</span></dd></div>",
                escaped(name),
                escaped(value),
                escaped(note)
            ));
        }
        self.header.push_str("</dl>");
    }

    /// Adds a section at the end.
    pub fn section(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// The whole file.
    #[must_use]
    pub fn finish(self) -> String {
        let title = escaped(&self.title);
        let (kinds, dark_kinds) = (Ink::kind_rules(false), Ink::kind_rules(true));
        let inks = Ink::dark_rules();
        let entries: String = self
            .sections
            .iter()
            .enumerate()
            .map(|(index, section)| {
                format!(
                    "<a href=\"#s{}\">{}</a>",
                    index + 1,
                    escaped(&section.title)
                )
            })
            .collect();
        let sections: String = self
            .sections
            .iter()
            .enumerate()
            .map(|(index, Section { title, body })| {
                let title = escaped(title);
                format!(
                    "<section id=\"s{}\"><h2>{title}</h2>\n{body}</section>\n",
                    index + 1
                )
            })
            .collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             img-src data:\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n\
             <style>\n{STYLE}{kinds}\n@media screen and (prefers-color-scheme: dark){{{dark_kinds}{inks}}}\n</style>\n\
             </head>\n<body>\n<header>{}</header>\n<nav aria-label=\"Sections\">{entries}</nav>\n\
             <main>\n{sections}</main>\n<footer>Made by adaplace {}. \
             This file needs no network and runs no script.</footer>\n</body>\n</html>\n",
            self.header,
            env!("CARGO_PKG_VERSION")
        )
    }
}

/// A number that is worth being shown large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// The number.
    pub value: String,
    /// What must be known of it.
    pub note: String,
}

/// A part of a page under a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    title: String,
    body: String,
}

impl Section {
    /// An empty section.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            body: String::new(),
        }
    }

    /// Adds a paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) {
        self.body.push_str(&format!("<p>{}</p>\n", escaped(text)));
    }

    /// Adds a figure over the whole width.
    pub fn figure(&mut self, figure: &Figure) {
        self.body.push_str(&figure.markup());
    }

    /// Adds figures side by side where there is room.
    pub fn figures(&mut self, figures: &[Figure]) {
        self.body.push_str("<div class=\"row\">");
        for figure in figures {
            self.body.push_str(&figure.markup());
        }
        self.body.push_str("</div>\n");
    }

    /// Adds figures and a table side by side where there is room.
    pub fn beside(&mut self, figures: &[Figure], table: &Table) {
        self.body.push_str("<div class=\"row\">");
        for figure in figures {
            self.body.push_str(&figure.markup());
        }
        self.body.push_str(&table.markup());
        self.body.push_str("</div>\n");
    }

    /// Adds what colours mean, where no figure does.
    pub fn legend(&mut self, entries: &[LegendEntry]) {
        self.body.push_str(&legend(entries));
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        self.body.push_str(&table.markup());
    }

    /// Adds what is shown when somebody opens it.
    pub fn folded(&mut self, summary: &str, inside: Section) {
        self.body.push_str(&format!(
            "<details><summary>{}</summary>\n{}</details>\n",
            escaped(summary),
            inside.body
        ));
    }
}

/// A drawing with its title, its legend and a caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    title: String,
    drawing: Svg,
    legend: Vec<LegendEntry>,
    caption: String,
}

impl Figure {
    /// A drawing without legend and caption.
    #[must_use]
    pub fn new(title: &str, drawing: Svg) -> Self {
        Self {
            title: title.to_owned(),
            drawing,
            legend: Vec::new(),
            caption: String::new(),
        }
    }

    /// Adds what colours and shapes mean.
    #[must_use]
    pub fn with_legend(mut self, entries: impl IntoIterator<Item = LegendEntry>) -> Self {
        self.legend.extend(entries);
        self
    }

    /// Adds a sentence or several to the caption.
    #[must_use]
    pub fn with_caption(mut self, text: &str) -> Self {
        if !self.caption.is_empty() && !text.is_empty() {
            self.caption.push(' ');
        }
        self.caption.push_str(text);
        self
    }

    fn markup(&self) -> String {
        let mut caption = legend(&self.legend);
        if !self.caption.is_empty() {
            caption.push_str(&format!("<p>{}</p>", escaped(&self.caption)));
        }
        // Below this width its labels would be too small to be read; it is scrolled instead.
        let narrowest = self.drawing.least_width();
        format!(
            "<figure><h3>{}</h3><div class=\"scroll\"><div style=\"min-width:{narrowest}px\">{}</div></div>\
             <figcaption>{caption}</figcaption></figure>\n",
            escaped(&self.title),
            self.drawing.markup()
        )
    }
}

fn legend(entries: &[LegendEntry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let entries: String = entries.iter().map(LegendEntry::markup).collect();
    format!("<ul class=\"legend\">{entries}</ul>")
}

/// What a colour and shape mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegendEntry {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// How it is drawn.
    pub mark: Mark,
}

/// How something is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
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

impl LegendEntry {
    /// An entry.
    #[must_use]
    pub fn new(name: impl Into<String>, ink: Ink, mark: Mark) -> Self {
        Self {
            name: name.into(),
            ink,
            mark,
        }
    }

    fn markup(&self) -> String {
        let colour = self.ink.hex();
        let line = |width: f64| {
            format!("<path d=\"M1 7H21\" stroke=\"{colour}\" stroke-width=\"{width}\"/>")
        };
        let shape = match self.mark {
            Mark::Line => line(2.5),
            Mark::Band => format!(
                "<rect x=\"1\" y=\"2\" width=\"20\" height=\"10\" fill=\"{colour}\" opacity=\"0.18\"/>{}",
                line(2.5)
            ),
            Mark::Point => format!("<circle cx=\"11\" cy=\"7\" r=\"4.5\" fill=\"{colour}\"/>"),
            Mark::Dot => {
                format!("<circle cx=\"11\" cy=\"7\" r=\"2.5\" fill=\"{colour}\" opacity=\"0.6\"/>")
            }
            Mark::Ring => format!(
                "<circle cx=\"11\" cy=\"7\" r=\"5\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ),
            Mark::ErrorBar => format!(
                "<path d=\"M11 0V14\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                 <circle cx=\"11\" cy=\"7\" r=\"4\" fill=\"{colour}\"/>"
            ),
            Mark::Square => format!(
                "<rect x=\"6\" y=\"2\" width=\"10\" height=\"10\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ),
        };
        format!(
            "<li><svg viewBox=\"0 0 22 14\" aria-hidden=\"true\">{shape}</svg>{}</li>",
            escaped(&self.name)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_was_put_in_and_nothing_from_outside() {
        let mut document = Document::new("<name>", "a & b", "search");
        document.facts(&[Fact {
            name: "best".to_owned(),
            value: "1 < 2".to_owned(),
            note: String::new(),
        }]);
        let mut section = Section::new("First & last");
        let figure = Figure::new("Drawing", Svg::new(10, 10, "<t>"))
            .with_legend([LegendEntry::new("<series>", Ink::Blue, Mark::Line)])
            .with_caption("One.")
            .with_caption("")
            .with_caption("Two.");
        section.figure(&figure);
        document.section(section);
        let page = document.finish();
        for part in [
            "<title>&lt;name&gt; · adaplace search</title>",
            "<h1>&lt;name&gt;</h1>",
            "a &amp; b",
            "1 &lt; 2",
            "<a href=\"#s1\">First &amp; last</a>",
            "<section id=\"s1\"><h2>First &amp; last</h2>",
            "<title>&lt;t&gt;</title>",
            "&lt;series&gt;",
            "<p>One. Two.</p>",
            "Content-Security-Policy",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        for part in ["<script", "src=\"", "url(", "@import"] {
            assert!(!page.contains(part), "{part}");
        }
    }
}
