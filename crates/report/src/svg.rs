//! Drawings as text.

use std::fmt::Write as _;

use crate::ink::Ink;
use crate::markup::escaped;

/// A drawing: one `svg` element with a title, to be put into a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg {
    width: u32,
    height: u32,
    least_width: u32,
    title: String,
    content: String,
}

impl Svg {
    /// An empty drawing in pixels of a screen; the title is what is read aloud in its place.
    pub(crate) fn new(width: u32, height: u32, title: &str) -> Self {
        Self {
            width,
            height,
            least_width: width * 3 / 4,
            title: title.to_owned(),
            content: String::new(),
        }
    }

    /// What the plotting library drew at `scale` times the size on a screen, without its outermost element: the page
    /// decides how large it is shown.
    pub(crate) fn from_plot(plot: &str, size: (u32, u32), scale: u32, title: &str) -> Self {
        let inside = plot
            .split_once('>')
            .map_or("", |(_, rest)| rest)
            .trim_end()
            .trim_end_matches("</svg>");
        let (width, height) = size;
        Self {
            // What is the default anyway: thousands of points say it.
            content: inside.replace(" stroke=\"none\" stroke-width=\"1\"", ""),
            least_width: width / scale * 3 / 4,
            ..Self::new(width, height, title)
        }
    }

    /// Gives the circles of a plot their tooltips, in the order in which they were drawn; an empty one is none.
    pub(crate) fn label_circles(&mut self, labels: &[String]) {
        let mut parts = self.content.split("<circle ");
        let mut labelled = parts.next().unwrap_or_default().to_owned();
        let mut labels = labels.iter();
        for part in parts {
            labelled.push_str("<circle ");
            match (part.split_once("/>"), labels.next()) {
                (Some((attributes, rest)), Some(label)) if !label.is_empty() => {
                    let title = escaped(label);
                    labelled.push_str(&format!(
                        "{attributes}><title>{title}</title></circle>{rest}"
                    ));
                }
                _ => labelled.push_str(part),
            }
        }
        self.content = labelled;
    }

    /// Adds markup, formatted as by `format!`; what comes from outside must be escaped already.
    pub(crate) fn add(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.content.write_fmt(markup);
    }

    /// Adds a word or number; `anchor` is `start`, `middle` or `end`.
    pub(crate) fn text(
        &mut self,
        place: (f64, f64),
        size: u32,
        anchor: Anchor,
        ink: Ink,
        text: &str,
    ) {
        let (x, y) = place;
        let (anchor, fill, text) = (anchor.name(), ink.hex(), escaped(text));
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-family=\"sans-serif\" \
             text-anchor=\"{anchor}\" fill=\"{fill}\">{text}</text>"
        ));
    }

    /// The whole element.
    #[must_use]
    pub fn markup(&self) -> String {
        let Self {
            width,
            height,
            title,
            content,
            ..
        } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\
             <title>{title}</title>{content}</svg>"
        )
    }

    /// Pixels across on a screen, below which its labels are too small to be read.
    pub(crate) fn least_width(&self) -> u32 {
        self.least_width
    }
}

/// Which part of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_of_a_plot_is_exchanged() {
        let plot = "<svg width=\"8\" height=\"4\" viewBox=\"0 0 8 4\">\n<line x1=\"0\"/>\n</svg>\n";
        let markup = Svg::from_plot(plot, (8, 4), 2, "a < b").markup();
        assert!(
            markup.contains("<title>a &lt; b</title>\n<line x1=\"0\"/>\n</svg>"),
            "{markup}"
        );
        assert_eq!(markup.matches("<svg").count(), 1);
    }

    #[test]
    fn circles_get_their_tooltips_in_order() {
        let mut drawing = Svg::new(1, 1, "");
        drawing.add(format_args!(
            "<circle r=\"1\"/><line/><circle r=\"2\"/><circle r=\"3\"/>"
        ));
        drawing.label_circles(&["one".to_owned(), "<two>".to_owned()]);
        assert_eq!(
            drawing.content,
            "<circle r=\"1\"><title>one</title></circle><line/>\
             <circle r=\"2\"><title>&lt;two&gt;</title></circle><circle r=\"3\"/>"
        );
    }
}
