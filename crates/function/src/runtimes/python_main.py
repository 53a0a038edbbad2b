import stepwell_runtime

stepwell_runtime.main()
