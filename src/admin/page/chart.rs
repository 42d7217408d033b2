//! Pictures as SVG: drawn by hand from numbers, coloured by the style sheet, and said in words beside it for those who
//! do not see them.

use super::parts;
use maud::{Markup, html};
use std::fmt::Write as _;

/// The canvas of a chart, in units of the drawing.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 120.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 16.0;
const TOP: f64 = 8.0;

/// How a series looks: a class of the style sheet for its colour, and whether its line is dashed, so that colour alone
/// tells nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) class: &'static str,
    pub(super) dash: &'static str,
}

/// The looks in the order in which charts use them.
pub(super) const LOOKS: [Look; 3] = [
    Look { class: "s-blue", dash: "" },
    Look { class: "s-hold", dash: "5 3" },
    Look { class: "s-soft", dash: "1.5 3" },
];
/// Delivered.
pub(super) const GOOD: Look = Look { class: "s-good", dash: "" };
/// Failed.
pub(super) const BAD: Look = Look { class: "s-bad", dash: "4 2.5" };

/// One line of a chart. A gap is where there is no value.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) values: Vec<Option<f64>>,
}

/// A chart over the last hour.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) series: &'a [Series],
    /// A value as its axis says it.
    pub(super) say: fn(f64) -> String,
    /// What the picture shows, in a sentence.
    pub(super) words: String,
    /// Whether values are whole: then the axis says no fractions.
    pub(super) whole: bool,
    /// What stands there while there is nothing to show.
    pub(super) nothing: &'a str,
}

impl Chart<'_> {
    /// The chart with its legend.
    pub(super) fn draw(&self) -> Markup {
        let values = || self.series.iter().flat_map(|series| series.values.iter().flatten().copied());
        let most = values().fold(0.0, f64::max);
        let top = if self.whole { nice(most.max(4.0)) } else { nice(most) };
        let some = values().any(|value| value > 0.0);
        html! {
            figure.card.chart {
                figcaption {
                    strong { (self.title) }
                    @for series in self.series {
                        span.key { (swatch(series.look)) (series.name) }
                    }
                }
                svg viewBox={"0 0 " (WIDTH) " " (HEIGHT)} role="img" aria-label=(self.words) {
                    @for (part, value) in [(0.0, 0.0), (0.5, top / 2.0), (1.0, top)] {
                        @let y = HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP);
                        line.s-line x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) stroke="currentColor" stroke-width="1" {}
                        @if some || part == 0.0 {
                            text.axis x=(LEFT - 5.0) y=(y + 4.0) text-anchor="end" { ((self.say)(value)) }
                        }
                    }
                    @for (label, part, anchor) in [("60 min ago", 0.0, "start"), ("30", 0.5, "middle"), ("now", 1.0, "end")] {
                        text.axis x=(LEFT + part * (WIDTH - LEFT)) y=(HEIGHT - 3.0) text-anchor=(anchor) { (label) }
                    }
                    @if some {
                        @for series in self.series.iter().rev() {
                            path class=(series.look.class) d=(dots(&series.values, top)) fill="none" stroke="currentColor" stroke-width="5" stroke-linecap="round" {}
                            path class=(series.look.class) d=(path(&series.values, top)) fill="none" stroke="currentColor"
                                stroke-width="1.75" stroke-linejoin="round" stroke-linecap="round"
                                stroke-dasharray=[(!series.look.dash.is_empty()).then_some(series.look.dash)] {}
                        }
                    } @else {
                        text.axis x=((LEFT + WIDTH) / 2.0) y=(HEIGHT / 2.0 - 8.0) text-anchor="middle" { (self.nothing) }
                    }
                }
            }
        }
    }
}

fn swatch(look: Look) -> Markup {
    html! {
        svg class=(look.class) viewBox="0 0 12 12" aria-hidden="true" {
            path d="M0 6h12" stroke="currentColor" stroke-width="3"
                stroke-dasharray=[(!look.dash.is_empty()).then_some(look.dash)] {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "positions in a picture")]
fn path(values: &[Option<f64>], top: f64) -> String {
    let step = (WIDTH - LEFT) / values.len().saturating_sub(1).max(1) as f64;
    let (mut path, mut pen_down) = (String::new(), false);
    for (position, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let (x, y) = (LEFT + step * position as f64, height(*value, top));
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen_down { "L" } else { "M" });
        pen_down = true;
    }
    path
}

/// Points without neighbours, which no line shows: lines of almost no length, which round caps make dots.
#[expect(clippy::cast_precision_loss, reason = "positions in a picture")]
fn dots(values: &[Option<f64>], top: f64) -> String {
    let step = (WIDTH - LEFT) / values.len().saturating_sub(1).max(1) as f64;
    let alone = |position: usize| {
        let before = position.checked_sub(1).and_then(|before| values.get(before).copied().flatten());
        before.is_none() && values.get(position + 1).copied().flatten().is_none()
    };
    let mut dots = String::new();
    for (position, value) in values.iter().enumerate().filter(|(position, _)| alone(*position)) {
        if let Some(value) = value {
            // Inside the picture, whole.
            let x = (LEFT + step * position as f64).min(WIDTH - 3.0);
            let _ = write!(dots, "M{x:.1} {:.1}h.01", height(*value, top));
        }
    }
    dots
}

fn height(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - (value / top).min(1.0) * (HEIGHT - BOTTOM - TOP)
}

/// The next number that makes a good end of an axis.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let scale = 10f64.powf(most.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * scale)
        .find(|end| *end >= most)
        .unwrap_or(most)
}

/// Bars of a day: what landed above the line, what failed below it.
#[expect(clippy::cast_precision_loss, reason = "heights in a picture")]
pub(super) fn spark(good: &[u64], bad: &[u64], words: &str) -> Markup {
    const UP: f64 = 18.0;
    const DOWN: f64 = 8.0;
    let most = good.iter().copied().max().unwrap_or(0).max(1) as f64;
    let worst = bad.iter().copied().max().unwrap_or(0).max(1) as f64;
    let bar = |count: u64, most: f64, room: f64| {
        if count == 0 { 0.0 } else { (count as f64 / most * room).max(1.5) }
    };
    let mut ups = String::new();
    let mut downs = String::new();
    for (position, count) in good.iter().enumerate() {
        let (x, height) = (position * 4, bar(*count, most, UP));
        if height > 0.0 {
            let _ = write!(ups, "M{x} {UP}v-{height:.1}h3v{height:.1}z");
        }
    }
    for (position, count) in bad.iter().enumerate() {
        let (x, height, top) = (position * 4, bar(*count, worst, DOWN), UP + 1.0);
        if height > 0.0 {
            let _ = write!(downs, "M{x} {top}h3v{height:.1}h-3z");
        }
    }
    html! {
        svg.spark width="95" height="27" viewBox="0 0 95 27" role="img" aria-label=(words) {
            path.s-line d="M0 18.5h95" stroke="currentColor" {}
            path.s-good d=(ups) fill="currentColor" {}
            path.s-bad d=(downs) fill="currentColor" {}
        }
    }
}

/// Where the time of an attempt went, in microseconds, as one bar to scale.
#[expect(clippy::cast_precision_loss, reason = "widths in a picture")]
pub(super) fn stages(steps: &[(&'static str, &'static str, Option<u64>)], total: u64) -> Markup {
    let total_f = total.max(1) as f64;
    let mut at = 0.0;
    let mut bars = Vec::new();
    for (name, class, us) in steps {
        if let Some(us) = us {
            let width = (*us as f64 / total_f * 400.0).clamp(1.0, 400.0 - at);
            bars.push((*name, *class, at, width, *us));
            at = (at + width).min(399.0);
        }
    }
    html! {
        svg width="100%" height="8" viewBox="0 0 400 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.s-line width="400" height="8" rx="2" fill="currentColor" {}
            @for (_, class, x, width, _) in &bars {
                rect class=(class) x=(format!("{x:.1}")) width=(format!("{width:.1}")) height="8" fill="currentColor" {}
            }
        }
        p.stage {
            @for (name, class, _, _, us) in &bars {
                span.key { svg class=(class) viewBox="0 0 12 12" aria-hidden="true" { rect width="12" height="12" rx="3" fill="currentColor" {} } (name) " " (parts::took(*us)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_everything() {
        for (most, end) in [(0.0, 1.0), (0.7, 0.8), (1.0, 1.0), (37.0, 40.0), (41.0, 60.0), (1500.0, 2000.0)]
        {
            assert!((nice(most) - end).abs() < 1e-9, "{most}: {}", nice(most));
        }
    }

    #[test]
    fn a_gap_lifts_the_pen_and_a_lonely_point_is_a_dot() {
        let drawn = path(&[Some(1.0), Some(1.0), None, Some(1.0), None], 1.0);
        assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
        let drawn = dots(&[Some(1.0), Some(1.0), None, Some(1.0), None], 1.0);
        assert_eq!(drawn.matches("h.01").count(), 1, "{drawn}");
    }
}
