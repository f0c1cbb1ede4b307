//! A drawing on the page.

use maud::{Markup, Render, html};

use crate::legend::{LegendEntry, legend};
use crate::svg::Px;
use crate::table::Table;

/// A drawing with its title, its legend and a caption.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    title: String,
    size: (f64, f64),
    drawing: Markup,
    legend: Vec<LegendEntry>,
    caption: String,
}

impl Figure {
    /// A figure without legend and caption. `drawing` is the content of the `svg` element, whose width and height are
    /// in pixels.
    pub(crate) fn new(title: impl Into<String>, size: (f64, f64), drawing: Markup) -> Self {
        Self {
            title: title.into(),
            size,
            drawing,
            legend: Vec::new(),
            caption: String::new(),
        }
    }

    /// Adds a legend.
    pub(crate) fn with_legend(mut self, entries: impl IntoIterator<Item = LegendEntry>) -> Self {
        self.legend.extend(entries);
        self
    }

    /// Adds one or several sentences to the caption.
    pub(crate) fn with_caption(mut self, text: &str) -> Self {
        if !self.caption.is_empty() && !text.is_empty() {
            self.caption.push(' ');
        }
        self.caption.push_str(text);
        self
    }
}

impl Figure {
    /// The drawing alone.
    pub(crate) fn svg(&self) -> Markup {
        let (width, height) = self.size;
        html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } role="img"
                font-family="sans-serif" {
                title { (self.title) }
                (self.drawing)
            }
        }
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        let (width, _) = self.size;
        // Below this width the labels would be too small to read, so the figure scrolls instead.
        let narrowest = Px((0.75 * width).floor());
        html! {
            figure {
                h3 { (self.title) }
                div.scroll {
                    div style={ "min-width:" (narrowest) "px" } {
                        (self.svg())
                    }
                }
                figcaption {
                    (legend(&self.legend))
                    @if !self.caption.is_empty() { p { (self.caption) } }
                }
            }
            "\n"
        }
    }
}

/// Figures and a table side by side where there is room.
pub(crate) fn row(figures: &[Figure], table: Option<&Table>) -> Markup {
    html! {
        div.row {
            @for figure in figures { (figure) }
            @if let Some(table) = table { (table) }
        }
        "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ink::Ink;
    use crate::legend::Key;

    #[test]
    fn all_that_is_said_of_a_drawing_is_escaped() {
        let figure = Figure::new("<t>", (10.0, 10.0), html! { path d="M0 0" {} })
            .with_legend([Key::new("<series>", Ink::Blue).line(false)])
            .with_caption("One.")
            .with_caption("")
            .with_caption("Two & three.");
        let page = figure.render().into_string();
        for part in [
            "<h3>&lt;t&gt;</h3>",
            "<title>&lt;t&gt;</title><path",
            "&lt;series&gt;",
            "<p>One. Two &amp; three.</p>",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
    }
}
