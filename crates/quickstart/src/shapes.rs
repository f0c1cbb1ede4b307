/// The shapes that can be drawn. Every shape lies in the disc of radius 1 around (0, 0), with x to the right and y
/// downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The whole disc.
    Disc,
    /// A disc with a round hole.
    Ring,
    /// A square.
    Square,
    /// A square with a square hole.
    Frame,
    /// An equilateral triangle.
    Triangle,
    /// Two bars across one another.
    Cross,
    /// A long rectangle.
    Bar,
    /// A disc that is partly covered by another one.
    Crescent,
    /// A star with five points.
    Star,
    /// The letter T.
    Tee,
    /// A long triangle that points to the right and looks different after every turn.
    Pointer,
}

/// The corners of a star: five at radius 1, and between them five at radius 0.45.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.264_5, -0.364_1),
    (0.951_1, -0.309),
    (0.428, 0.139_1),
    (0.587_8, 0.809),
    (0.0, 0.45),
    (-0.587_8, 0.809),
    (-0.428, 0.139_1),
    (-0.951_1, -0.309),
    (-0.264_5, -0.364_1),
];
const TRIANGLE: [(f32, f32); 3] = [(0.0, -1.0), (0.866, 0.5), (-0.866, 0.5)];
const POINTER: [(f32, f32); 3] = [(1.0, 0.0), (-0.85, 0.5), (-0.85, -0.5)];

impl Shape {
    /// Whether the point is part of the shape.
    #[must_use]
    pub fn contains(self, x: f32, y: f32) -> bool {
        let square = x * x + y * y;
        let (width, height) = (x.abs(), y.abs());
        let edge = width.max(height);
        match self {
            Self::Disc => square < 0.81,
            Self::Ring => (0.3..1.0).contains(&square),
            Self::Square => edge < 0.7,
            Self::Frame => (0.4..0.7).contains(&edge),
            Self::Triangle => inside(&TRIANGLE, x, y),
            Self::Cross => width.min(height) < 0.25 && edge < 0.95,
            Self::Bar => width < 0.95 && height < 0.25,
            Self::Crescent => square < 1.0 && (x - 0.5) * (x - 0.5) + y * y > 0.5,
            Self::Star => inside(&STAR, x, y),
            Self::Tee => {
                (width < 0.7 && (-0.7..-0.25).contains(&y))
                    || (width < 0.22 && (-0.7..0.95).contains(&y))
            }
            Self::Pointer => inside(&POINTER, x, y),
        }
    }
}

/// Whether a ray from the point crosses the polygon's edges an odd number of times.
fn inside(corners: &[(f32, f32)], x: f32, y: f32) -> bool {
    let next = corners.iter().cycle().skip(1);
    let crossed = corners.iter().zip(next).filter(|&(from, to)| {
        (from.1 > y) != (to.1 > y) && x < from.0 + (to.0 - from.0) * (y - from.1) / (to.1 - from.1)
    });
    crossed.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 11] = [
        Shape::Disc,
        Shape::Ring,
        Shape::Square,
        Shape::Frame,
        Shape::Triangle,
        Shape::Cross,
        Shape::Bar,
        Shape::Crescent,
        Shape::Star,
        Shape::Tee,
        Shape::Pointer,
    ];

    /// The area of a shape, by counting points 0.01 apart.
    fn area(shape: Shape) -> f64 {
        let coordinate = |step: i32| step as f32 / 100.0 + 0.005;
        let rows = (-120..120).map(coordinate);
        let inside = rows.flat_map(|y| (-120..120).map(move |step| (coordinate(step), y)));
        let count = inside.filter(|&(x, y)| shape.contains(x, y)).count();
        count as f64 / 1e4
    }

    #[test]
    fn no_shape_leaves_the_disc() {
        for shape in ALL {
            for step in 0..400 {
                for row in 0..400 {
                    let (x, y) = (step as f32 / 100.0 - 2.0, row as f32 / 100.0 - 2.0);
                    let far = x * x + y * y > 1.01;
                    assert!(!(far && shape.contains(x, y)), "{shape:?} at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn areas_are_those_of_the_formulas() {
        let pi = std::f64::consts::PI;
        // A star consists of ten triangles between radius 1, radius 0.45 and an angle of 36 degrees.
        let star = 10.0 * 0.5 * 0.45 * (pi / 5.0).sin();
        let expected = [
            (Shape::Disc, 0.81 * pi),
            (Shape::Ring, 0.7 * pi),
            (Shape::Square, 1.96),
            (Shape::Frame, 1.96 - 0.64),
            (Shape::Triangle, 0.75 * 3.0_f64.sqrt()),
            (Shape::Cross, 2.0 * 1.9 * 0.5 - 0.25),
            (Shape::Bar, 1.9 * 0.5),
            (Shape::Star, star),
            (Shape::Tee, 1.4 * 0.45 + 0.44 * 1.2),
            (Shape::Pointer, 0.5 * 1.85),
        ];
        for (shape, expected) in expected {
            let found = area(shape);
            assert!((found - expected).abs() < 0.03, "{shape:?}: {found}");
        }
    }
}
