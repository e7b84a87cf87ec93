"""Distribution: what each proxy has been sent and has acknowledged, over ADS."""
