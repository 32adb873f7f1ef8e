"""What `mini` is made of: stock diffusers and transformers classes, sized for two CPU cores.

256 px pictures are 64 x 64 cells of 4 channels (1/4 scale): fidelity comes from scale, because the stock
inpaint pipeline takes four latent channels only. Both networks are narrow where the resolution is high.
"""

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

SIZE = 256
TEXT_WIDTH = 128


def autoencoder() -> AutoencoderKL:
    """1.4 M parameters; 1/4 scale, no attention, so any multiple of 4 works."""
    widths = (16, 48, 96)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=SIZE,
        scaling_factor=1.0,
    )


def unet() -> UNet2DConditionModel:
    """10.7 M parameters; attention at 16 x 16 and 8 x 8 cells of a 256 px picture."""
    widths = (48, 96, 160, 160)
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        in_channels=9,  # noisy latents 4, hole 1, masked image latents 4
        out_channels=4,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(1, 3, 5, 5),  # by diffusers' old naming: the number of heads
        use_linear_projection=True,
    )


def text_encoder(vocabulary: int) -> CLIPTextModel:
    """About 0.5 M parameters: enough to make prompts and text-encoder LoRA real."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=TEXT_WIDTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def scheduler() -> DDIMScheduler:
    """v-prediction on a schedule that ends in pure noise: 4 dB better than epsilon at equal cost here."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect on trailing spacing; the value that diffusers wants to see
    )
