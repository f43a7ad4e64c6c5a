"""A run, or several strategies, as one HTML file that needs nothing else: no server, no network.

Read `run_page` first. `story` follows every arm of a timer to its end, `thinning` keeps of a large run what the eye
can use, `drift` and `lateness` sum up what the charts show; all of them see the log as a stream. `summary` writes the
words and tables, `page` the file; what moves is in ``*.js``.

Why Plotly. The page must work offline from what PyPI has, so the JavaScript has to come in a wheel. Plotly's wheel
carries its own, is kept up by those who write the library, and imports in 60 ms. Smaller libraries would do the
drawing (uPlot: 45 kB, dygraphs: 125 kB), but on PyPI they are only in wrappers by others, years behind. The price is
4.8 MB a page, next to which most runs are small; ECharts, Bokeh and Vega, which come in wheels too, are no lighter
with what they depend on. Its axes are doubles, exact for integers to 2^53 ns, 104 days. Points are drawn as SVG, not
by scattergl: a browser without a GPU draws those too, and the page never shows more than some thousand at once, since
it draws anew from the exact events at every zoom.
"""
