//! The timeline as a picture: rate, queues, utilisation and memory, one above the other, over the same seconds.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::meter::STAGES;
use super::timeline::Point;

const SIZE: (u32, u32) = (960, 1120);
const TITLE: u32 = 56;
const FONT: &str = "sans-serif";
const MIB: f64 = (1 << 20) as f64;
/// Told apart by most people who see colours differently (Okabe and Ito).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
];

type Outcome = Result<(), Box<dyn Error>>;

pub(super) struct Heading<'a> {
    /// Images a second over the whole run.
    pub(super) rate: f64,
    /// The stage with the lowest ceiling, and its ceiling.
    pub(super) binding: Option<(&'a str, f64)>,
}

struct Panel<'a> {
    axis: &'a str,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    /// The least that the axis shows.
    reach: f64,
    /// A line straight across, and what it is.
    mark: Option<(String, f64)>,
}

pub(super) fn svg(points: &[Point], heading: &Heading<'_>) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (top, rest) = area.split_vertically(TITLE);
        title(&top, heading)?;
        for (area, panel) in rest.split_evenly((4, 1)).iter().zip(panels(points, heading)) {
            draw(area, points, &panel)?;
        }
        area.present()?;
    }
    Ok(text)
}

fn title(area: &DrawingArea<SVGBackend<'_>, Shift>, heading: &Heading<'_>) -> Outcome {
    let first = format!("{:.1} images a second", heading.rate);
    let second = match heading.binding {
        Some((stage, ceiling)) => {
            let share = 100.0 * heading.rate / ceiling;
            format!(
                "binding stage: {stage}, which alone does {ceiling:.1} images a second ({share:.0} % reached)"
            )
        }
        None => "binding stage: not known, since no ceilings were measured".to_owned(),
    };
    area.draw(&Text::new(first, (16, 10), (FONT, 20)))?;
    area.draw(&Text::new(second, (16, 34), (FONT, 15)))?;
    Ok(())
}

fn panels<'a>(points: &[Point], heading: &Heading<'_>) -> [Panel<'a>; 4] {
    let line = |name: &str, of: &dyn Fn(&Point) -> f64| {
        (name.to_owned(), points.iter().map(|point| (point.second, of(point))).collect())
    };
    let stages = STAGES.into_iter().enumerate();
    [
        Panel {
            axis: "images a second",
            lines: vec![line("out of the model", &|point| point.images_per_second)],
            reach: 1.0,
            mark: heading.binding.map(|(stage, ceiling)| (format!("ceiling of {stage}"), ceiling)),
        },
        Panel {
            axis: "images that wait",
            lines: vec![
                line("to be decoded", &|point| point.queues.encoded as f64),
                line("for a replica", &|point| point.queues.decoded as f64),
            ],
            reach: 4.0,
            mark: None,
        },
        Panel {
            axis: "busy, % of the stage's threads",
            lines: stages
                .map(|(index, name)| line(name, &|point| 100.0 * point.utilisation[index]))
                .collect(),
            reach: 100.0,
            mark: None,
        },
        Panel {
            axis: "memory, MiB",
            lines: vec![line("whole process", &|point| point.memory_bytes.unwrap_or(0.0) / MIB)],
            reach: 100.0,
            mark: None,
        },
    ]
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, points: &[Point], panel: &Panel<'_>) -> Outcome {
    let end = points.last().map_or(1.0, |point| point.second).max(1.0);
    let highest = panel.lines.iter().flat_map(|(_, line)| line).map(|(_, value)| *value);
    let highest = highest.chain(panel.mark.iter().map(|(_, value)| *value)).fold(panel.reach, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..highest * 1.08)?;
    chart
        .configure_mesh()
        .x_desc("seconds since the first image was asked for")
        .y_desc(panel.axis)
        .x_label_formatter(&|second| format!("{second:.*}", decimals(end)))
        .y_label_formatter(&|value| format!("{value:.*}", decimals(highest)))
        .axis_desc_style((FONT, 14))
        .label_style((FONT, 12))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for ((name, line), colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.iter().copied(), style))?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    if let Some((name, value)) = &panel.mark {
        let style = BLACK.mix(0.6).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(0.0, *value), (end, *value)], style))?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.25))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// Decimals of an axis' numbers: on a short one whole numbers would come twice.
fn decimals(reach: f64) -> usize {
    usize::from(reach < 10.0)
}

#[cfg(test)]
mod tests {
    use super::super::timeline::Queues;
    use super::*;

    fn points(count: u32) -> Vec<Point> {
        let point = |second: u32| Point {
            second: f64::from(second + 1),
            images_per_second: 80.0 + f64::from(second % 5),
            queues: Queues { encoded: 4, decoded: 60 },
            utilisation: [0.1, 0.4, 0.01, 0.97, 0.02],
            memory_bytes: Some(4e8),
        };
        (0..count).map(point).collect()
    }

    #[test]
    fn the_picture_names_units_stages_and_what_binds() {
        let drawn = svg(&points(30), &Heading { rate: 81.6, binding: Some(("model", 97.2)) }).unwrap();
        for text in [
            "81.6 images a second",
            "binding stage: model, which alone does 97.2 images a second (84 % reached)",
            "seconds since the first image was asked for",
            "images that wait",
            "busy, % of the stage",
            "out of the model",
            "ceiling of model",
            "for a replica",
            "memory, MiB",
        ] {
            assert!(drawn.contains(text), "{text} is not in the picture");
        }
        for stage in STAGES {
            assert!(drawn.contains(&format!("\n{stage}\n")), "{stage} is not in the legend");
        }
        // A line for the rate, two for the queues, five for the stages and one for the memory, each with its legend's.
        assert_eq!(drawn.matches("stroke-width=\"2\"").count(), 2 * (1 + 2 + STAGES.len() + 1));
    }

    #[test]
    fn no_axis_has_a_number_twice() {
        let drawn = svg(&points(3), &Heading { rate: 81.6, binding: None }).unwrap();
        assert!(drawn.contains("\n0.5\n") && drawn.contains("\n3.0\n"), "{drawn}");
        let drawn = svg(&points(30), &Heading { rate: 81.6, binding: None }).unwrap();
        assert!(drawn.contains("\n30\n") && !drawn.contains("\n30.0\n"), "{drawn}");
    }

    #[test]
    fn a_run_that_was_over_at_once_has_a_picture_too() {
        for count in [0, 1] {
            let drawn = svg(&points(count), &Heading { rate: 0.0, binding: None }).unwrap();
            assert!(drawn.contains("not known"), "{drawn}");
        }
    }
}
