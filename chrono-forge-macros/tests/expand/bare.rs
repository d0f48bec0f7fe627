#[workflow]
async fn bare() {}
