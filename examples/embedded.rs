//! Two Postriders inside another program, each with its own files, listeners and metrics; both stop when it says so.
//!
//! ```sh
//! cargo run --example embedded -- first/postrider.toml second/postrider.toml
//! ```
//! It prints where they listen, and what each has counted when standard input ends.

use postrider::app::{App, AppOptions};
use postrider::metrics::Metrics;
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut running = Vec::new();
    for config in std::env::args().skip(1) {
        let metrics = Metrics::new();
        let app = App::start(AppOptions {
            config: config.clone().into(),
            sinks: Vec::new(), // sinks of one's own go here
            metrics: metrics.clone(),
        });
        let app = app.await?;
        println!("{config} ingress http://{} admin http://{}", app.ingress(), app.admin());
        running.push((config, app, metrics));
    }

    // The program goes on with its own work, here: waiting for the end of its standard input.
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;

    for (config, app, metrics) in running {
        app.stop().await;
        let text = metrics.render();
        let finished = text.lines().filter(|line| line.starts_with("postrider_deliveries_finished_total"));
        let finished: u64 = finished.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        println!("{config} stopped, {finished} deliveries finished");
    }
    Ok(())
}
