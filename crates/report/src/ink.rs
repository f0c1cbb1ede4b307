//! The colours of drawings, each in a light and a dark theme.

use std::fmt;

use adaplace_search_space::ConnectionKind;

/// A colour by its role. Drawings contain the colours of the light theme, and the style sheet replaces them in the dark
/// theme, so a drawing that is copied out of the page is still complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ink {
    /// Labels and the most important marks.
    Text,
    /// Marks for comparison.
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
    const ALL: [Self; 9] = [
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

    /// The colours of series in one chart.
    pub(crate) const SERIES: [Self; 6] = [
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Pink,
        Self::Violet,
        Self::Brown,
    ];

    /// The colour of a kind of connection.
    pub(crate) fn of_kind(kind: ConnectionKind) -> Self {
        match kind {
            ConnectionKind::Sequential => Self::Orange,
            ConnectionKind::Parallel => Self::Green,
            ConnectionKind::LongRange => Self::Blue,
            ConnectionKind::Recurrent => Self::Pink,
        }
    }

    /// The colours in the light and the dark theme.
    fn colours(self) -> [[u8; 3]; 2] {
        match self {
            Self::Text => [[0x1B, 0x24, 0x30], [0xE6, 0xEA, 0xF0]],
            Self::Muted => [[0x5F, 0x6B, 0x7A], [0x98, 0xA4, 0xB3]],
            Self::Faint => [[0xE2, 0xE6, 0xEB], [0x2C, 0x35, 0x41]],
            Self::Blue => [[0x1D, 0x6F, 0xB8], [0x6D, 0xB5, 0xF4]],
            Self::Orange => [[0xB4, 0x58, 0x09], [0xF2, 0xA3, 0x4E]],
            Self::Green => [[0x0B, 0x84, 0x63], [0x48, 0xC9, 0xA2]],
            Self::Pink => [[0xB8, 0x3A, 0x8B], [0xEE, 0x8B, 0xC6]],
            Self::Violet => [[0x6D, 0x4F, 0xC4], [0xB0, 0x9C, 0xF5]],
            Self::Brown => [[0x86, 0x5B, 0x3C], [0xC9, 0xA2, 0x86]],
        }
    }

    /// The style rules with colours: those for words in the colour of a kind of connection and, for the dark theme,
    /// those that replace all colours.
    pub(crate) fn rules() -> String {
        let kinds = |theme: usize| -> String {
            let rule = |kind: ConnectionKind| {
                let colour = hex(Self::of_kind(kind).colours()[theme]);
                format!(".{kind}{{color:{colour}}}")
            };
            ConnectionKind::ALL.iter().copied().map(rule).collect()
        };
        let exchanged = |ink: Self| {
            let dark = hex(ink.colours()[1]);
            ["fill", "stroke"].map(|of| format!("svg [{of}=\"{ink}\"]{{{of}:{dark}}}"))
        };
        let exchanged: String = Self::ALL.into_iter().flat_map(exchanged).collect();
        let (light, dark) = (kinds(0), kinds(1));
        format!("{light}\n@media screen and (prefers-color-scheme: dark){{{dark}{exchanged}}}\n")
    }
}

/// Writes the colour of the light theme as in drawings: `#1B2430`.
impl fmt::Display for Ink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(self.colours()[0]))
    }
}

/// A colour in the notation of attributes and style sheets.
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
            let [light, dark] = ink.colours();
            let (light, dark) = (
                contrast(light, [255; 3]),
                contrast(dark, [0x17, 0x1C, 0x24]),
            );
            assert!(
                light >= 4.5 && dark >= 4.5,
                "{ink:?}: {light:.1}, {dark:.1}"
            );
        }
    }

    #[test]
    fn no_two_have_the_same_colour() {
        let mut colours: Vec<String> = Ink::ALL.iter().map(Ink::to_string).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), Ink::ALL.len());
    }
}
