"""Using a trained network: load a run or an export, restore pictures, write an export."""
