//! The colours of drawings, each in a light and a dark theme.

use std::fmt::Write as _;

use adaplace_search_space::ConnectionKind;
use plotters::style::RGBColor;

/// A colour by its role. A drawing holds the colour of the light theme; the style sheet exchanges it in the dark one, so
/// a drawing that is copied out of the page is still whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ink {
    /// Labels and what must be seen first.
    Text,
    /// What is there for comparison.
    Muted,
    /// Grid lines and empty cells.
    Faint,
    /// The first series; long-range connections.
    Blue,
    /// The second series; sequential connections.
    Orange,
    /// The third series; parallel connections.
    Green,
    /// The fourth series; recurrent connections.
    Pink,
    /// The fifth series.
    Violet,
    /// The sixth series.
    Brown,
}

impl Ink {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Text,
        Self::Muted,
        Self::Faint,
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Pink,
        Self::Violet,
        Self::Brown,
    ];

    /// The colours of series that stand side by side.
    pub const SERIES: [Self; 6] = [
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Pink,
        Self::Violet,
        Self::Brown,
    ];

    /// The colour of a kind of connection.
    #[must_use]
    pub fn of_kind(kind: ConnectionKind) -> Self {
        match kind {
            ConnectionKind::Sequential => Self::Orange,
            ConnectionKind::Parallel => Self::Green,
            ConnectionKind::LongRange => Self::Blue,
            ConnectionKind::Recurrent => Self::Pink,
        }
    }

    fn light(self) -> [u8; 3] {
        match self {
            Self::Text => [0x1B, 0x24, 0x30],
            Self::Muted => [0x5F, 0x6B, 0x7A],
            Self::Faint => [0xE2, 0xE6, 0xEB],
            Self::Blue => [0x1D, 0x6F, 0xB8],
            Self::Orange => [0xB4, 0x58, 0x09],
            Self::Green => [0x0B, 0x84, 0x63],
            Self::Pink => [0xB8, 0x3A, 0x8B],
            Self::Violet => [0x6D, 0x4F, 0xC4],
            Self::Brown => [0x86, 0x5B, 0x3C],
        }
    }

    fn dark(self) -> [u8; 3] {
        match self {
            Self::Text => [0xE6, 0xEA, 0xF0],
            Self::Muted => [0x98, 0xA4, 0xB3],
            Self::Faint => [0x2C, 0x35, 0x41],
            Self::Blue => [0x6D, 0xB5, 0xF4],
            Self::Orange => [0xF2, 0xA3, 0x4E],
            Self::Green => [0x48, 0xC9, 0xA2],
            Self::Pink => [0xEE, 0x8B, 0xC6],
            Self::Violet => [0xB0, 0x9C, 0xF5],
            Self::Brown => [0xC9, 0xA2, 0x86],
        }
    }

    /// `#1B2430`: the colour of the light theme, as it stands in drawings.
    pub(crate) fn hex(self) -> String {
        hex(self.light())
    }

    pub(crate) fn colour(self) -> RGBColor {
        let [red, green, blue] = self.light();
        RGBColor(red, green, blue)
    }

    /// The rules that exchange all colours, for the dark part of the style sheet.
    pub(crate) fn dark_rules() -> String {
        let mut rules = String::new();
        for ink in Self::ALL {
            let (from, to) = (ink.hex(), hex(ink.dark()));
            for property in ["fill", "stroke"] {
                // Writing to a string cannot fail.
                let _ = write!(rules, "svg [{property}=\"{from}\"]{{{property}:{to}}}");
            }
        }
        rules
    }

    /// The classes of text in the colour of a kind of connection.
    pub(crate) fn kind_rules(dark: bool) -> String {
        let rule = |kind: ConnectionKind| {
            let ink = Self::of_kind(kind);
            let colour = if dark { ink.dark() } else { ink.light() };
            format!(".{}{{color:{}}}", kind.name(), hex(colour))
        };
        ConnectionKind::ALL.iter().copied().map(rule).collect()
    }
}

pub(crate) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.
    fn luminance(colour: [u8; 3]) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            match share <= 0.040_45 {
                true => share / 12.92,
                false => ((share + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn all_but_the_faint_one_can_be_read_on_both_grounds() {
        for ink in Ink::ALL.into_iter().filter(|&ink| ink != Ink::Faint) {
            let light = contrast(ink.light(), [255; 3]);
            let dark = contrast(ink.dark(), [0x17, 0x1C, 0x24]);
            assert!(
                light >= 4.5 && dark >= 4.5,
                "{ink:?}: {light:.1}, {dark:.1}"
            );
        }
    }

    #[test]
    fn no_two_have_the_same_colour() {
        let mut colours: Vec<String> = Ink::ALL.into_iter().map(Ink::hex).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), Ink::ALL.len());
    }
}
