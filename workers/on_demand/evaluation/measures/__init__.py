"""Pure measures of pictures: nothing here opens a file of the house or knows of jobs.

They need torch, numpy and OpenCV alone. Pictures are 8-bit sRGB ``(H, W, 3)`` unless a function says otherwise.
"""
