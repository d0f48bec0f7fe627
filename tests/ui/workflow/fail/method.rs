use chrono_forge::prelude::*;

struct Shop;

impl Shop {
    #[workflow]
    async fn run(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
